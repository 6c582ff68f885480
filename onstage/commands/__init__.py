# Owned by the template.
"""What the clouds are asked for. Jobs are data: `requests` builds bodies, which `rehearse` executes on this machine."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The clouds unpack or install `src/`; here it is found where it lies.
if str(ROOT / "src") not in sys.path:
    sys.path.insert(0, str(ROOT / "src"))
