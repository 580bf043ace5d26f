"""Checkpoints that can be chosen: those of the package, those of training runs, a typed path or address."""

from __future__ import annotations

from pathlib import Path

from vgil_ros.assets import checkpoint_path, share_dir
from vgil_ros.core.errors import VgilError
from vgil_ros.web.settings import WebSettings

CONFIG = "policy.json"
RUNS_SHOWN = 50  # the newest
LEVELS = ("*", "*/*", "*/*/*")  # below the folder of runs


def is_address(checkpoint: str) -> bool:
    """Whether it is a server's."""
    return "://" in checkpoint


def offered(settings: WebSettings) -> list[str]:
    """Names in models/, then the folders of training runs, those written last first. Reads the disk."""
    models = sorted(path.parent.name for path in (share_dir() / "models").glob(f"*/{CONFIG}"))
    found = {path for level in LEVELS for path in settings.runs_dir.glob(f"{level}/{CONFIG}")}
    runs = sorted(found, key=_written, reverse=True)[:RUNS_SHOWN]
    return models + [str(path.parent) for path in runs]


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def chosen(text: str, settings: WebSettings) -> str:
    """What was chosen or typed, as the policy node takes it.

    Args:
        text: a name in models/, a folder, or ws://HOST:PORT.
        settings: on a network, folders other than the page's own are nobody's to name.

    Raises:
        VgilError: for what is no checkpoint, or one that may not be named from here.
    """
    text = text.strip()
    if is_address(text):
        if not text.startswith(("ws://", "wss://")):
            raise VgilError(f"address '{text}'; allowed: ws://HOST:PORT or wss://HOST:PORT")
        return text
    if not text:
        raise VgilError("no checkpoint is chosen; allowed: a name in models/, a folder, or ws://HOST:PORT")
    folder = checkpoint_path(text).resolve()
    own = [root.resolve() for root in (share_dir() / "models", settings.runs_dir, settings.dataset_dir)]
    if not settings.local and not any(folder.is_relative_to(root) for root in own):
        raise VgilError(f"checkpoint '{text}': allowed from the network: below {', '.join(map(str, own))}")
    if not (folder / CONFIG).is_file():
        raise VgilError(f"checkpoint '{text}': no {CONFIG} found there; allowed: a folder that vgil train wrote")
    return text if Path(text).name == text and not Path(text).exists() else str(folder)


def rollouts_folder(name: str, settings: WebSettings) -> str:
    """The folder that rollouts are recorded to, below the folder of episodes; "" where they are not.

    Raises:
        VgilError: for one that lies elsewhere.
    """
    if not name.strip():
        return ""
    root = settings.dataset_dir.resolve()
    folder = (root / name.strip()).resolve()
    if not folder.is_relative_to(root):
        raise VgilError(f"rollouts '{name}': allowed: a folder below {root}")
    return str(folder)
