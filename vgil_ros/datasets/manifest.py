"""The manifest that a conversion leaves in its data set: what was made from what, and every stream's hash and loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vgil_ros.datasets.errors import DatasetError

MANIFEST = "vgil_manifest.json"
FORMAT = "vgil_manifest/1"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a data set's manifest.

    Raises:
        DatasetError: there is none, or it is not one of ours.
    """
    file = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(
            f"{file}: cannot be read ({error.strerror}); only what `vgil dataset convert` wrote can be verified"
        ) from error
    except ValueError as error:
        raise DatasetError(f"{file}: is damaged ({error}); allowed: as it was written") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DatasetError(f"{file}: is no manifest of {FORMAT}; allowed: as it was written")
    return manifest
