"""Keys and passwords in what would travel, as detect-secrets finds them: each is a guess, and so a warning."""

from onstage.checks.source_checks import Source
from onstage.report import Finding

# Files that are larger hold data: who looks for keys reads text.
LARGEST = 1_000_000
_PLUGINS = (
    "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "GitHubTokenDetector", "GitLabTokenDetector",
    "JwtTokenDetector", "KeywordDetector", "NpmDetector", "OpenAIDetector", "PypiTokenDetector", "SendGridDetector",
    "SlackDetector", "StripeDetector", "TwilioKeyDetector",
)  # fmt: skip
_FILTERS = (
    "allowlist.is_line_allowlisted", "heuristic.is_sequential_string", "heuristic.is_potential_uuid",
    "heuristic.is_likely_id_string", "heuristic.is_templated_secret", "heuristic.is_prefixed_with_dollar_sign",
    "heuristic.is_indirect_reference",
)  # fmt: skip


def check_secrets(code: Source) -> list[Finding] | str:
    """A warning for each text that looks like a key or a password; none of them is printed."""
    from detect_secrets.core.scan import scan_file
    from detect_secrets.settings import transient_settings

    entropy = [{"name": "Base64HighEntropyString", "limit": 4.5}, {"name": "HexHighEntropyString", "limit": 3.0}]
    # Nothing that asks a service whether a key works.
    settings = {
        "plugins_used": [*({"name": name} for name in _PLUGINS), *entropy],
        "filters_used": [{"path": f"detect_secrets.filters.{name}"} for name in _FILTERS],
    }
    files = [file for file in code.files if file.stat().st_size <= LARGEST]
    with transient_settings(settings):
        found = {(file, one.line_number): one.type for file in files for one in scan_file(str(file))}
    return [
        Finding(
            f"this looks like a secret ({kind}) and would be uploaded",
            "let the job read it from where the cloud keeps secrets; if it is none, end the line with "
            "# pragma: allowlist secret",
            warning=True,
            file=code.name(file),
            line=line,
        )
        for (file, line), kind in sorted(found.items(), key=lambda one: one[0])
    ] or f"{len(files)} files"
