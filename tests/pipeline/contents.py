"""What a dataset's folder holds, for tests that compare two of them."""

import hashlib
import json
from pathlib import Path


def contents(folder: Path) -> dict[str, str]:
    """Return every file of a dataset with its hash; of the manifest, all but the times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.name == "manifest.json":
                data = json.dumps(json.loads(data) | {"seconds": None}).encode()
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(data).hexdigest()
    return found
