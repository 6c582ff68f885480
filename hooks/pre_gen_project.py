"""The net under the checks at the prompt, which `cookiecutter --replay` skips: they run while this file is rendered."""
# {{ cookiecutter | check_answers }}
# {% if template_folder is defined %}{{ cookiecutter.project_slug | check_free }}{% endif %}
# {% if check_file is defined %}{{ check_file(cookiecutter.data_file, cookiecutter.__data_folder) }}{% endif %}

import json
import sys
from pathlib import Path

# A replay file has the private variables of the version that wrote it: before 0.2.0, none for the template's folder.
CONTEXT, CLONE = json.loads(r"""{{ [cookiecutter, template_folder | default("")] | tojson }}""")


def main() -> int:
    """Refuse the replay file of another version."""
    replayed = CONTEXT["_template_version"]
    if CLONE:
        questions = json.loads(Path(CLONE, "cookiecutter.json").read_text(encoding="utf-8"))
        if questions["_template_version"] == replayed:
            return 0
    fix = f"answer the questions anew, or render that version (--checkout {replayed})"
    print(f"ERROR: the replay file is of version {replayed} of this template, not of this one: {fix}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
