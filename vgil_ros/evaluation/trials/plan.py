"""Plan of a trial: which policies, on which robot, in which hidden order, and when it ends."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from vgil_ros.core.config import StrictModel
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.seeds import FIRST_UNSEEN

MOST = 8  # policies in a trial: 28 pairs


class Contender(StrictModel):
    """One of the policies.

    Attributes:
        source: its folder, or a server's address.
        fingerprint: SHA-256 of the folder's files; None of an address, whose weights cannot be seen from here.
    """

    source: str
    fingerprint: str | None = None


class TrialPlan(StrictModel):
    """What is compared, and how; written at the head of the journal before the first attempt.

    Attributes:
        contenders: at least two, in the order in which they were given.
        robot, task: as the policy node's parameters.
        max_blocks: attempts with each policy, at most.
        alpha: the probability, at most, of telling any two apart that are equal.
        episode_len: ticks of an attempt; 0 goes on until it is labelled.
        execution: how chunks are played; None: as each checkpoint says.
        label: who says how an attempt ended: `keys` the operator, `topic` a topic's last value.
        success_topic: that topic.
        reset: who puts the scene back: `operator`, or `sim`, the simulated robot.
        scene_seed: of the first block's scene, where the simulated robot resets it; the next ones follow.
        commitment: SHA-256 of the hidden seed of the order and its salt: the order was settled before the beginning.
    """

    contenders: tuple[Contender, ...] = Field(min_length=2, max_length=MOST)
    robot: str
    task: str = ""
    max_blocks: int = Field(ge=1)
    alpha: float = Field(gt=0, lt=1)
    episode_len: int = Field(default=0, ge=0)
    execution: str | None = None
    label: str = Field(default="keys", pattern="^(keys|topic)$")
    success_topic: str = ""
    reset: str = Field(default="operator", pattern="^(operator|sim)$")
    scene_seed: int = Field(default=FIRST_UNSEEN, ge=0)
    commitment: str

    @property
    def blinded(self) -> bool:
        """Whether somebody acts or judges who must not know which policy is at work."""
        return self.reset == "operator" or self.label == "keys"


class HiddenOrder(StrictModel):
    """What is hidden until the end: the seed of the order, and a salt that keeps its digest from being guessed."""

    seed: int = Field(ge=0)
    salt: str

    @classmethod
    def draw(cls, seed: int | None = None) -> HiddenOrder:
        """A new one; of a seed that was given, or one that nobody knows."""
        return cls(seed=secrets.randbits(63) if seed is None else seed, salt=secrets.token_hex(16))

    @property
    def commitment(self) -> str:
        """What may be shown beforehand."""
        return hashlib.sha256(f"{self.seed}:{self.salt}".encode()).hexdigest()

    def block(self, number: int, contenders: int) -> tuple[int, ...]:
        """The contenders of a block, in the order of its attempts; each stands in it once.

        They are sorted by the SHA-256 of `seed:block:contender`, which any language computes, now and later.
        """

        def digest(contender: int) -> bytes:
            return hashlib.sha256(f"{self.seed}:{number}:{contender}".encode()).digest()

        return tuple(sorted(range(contenders), key=digest))


def letters(number: int, contenders: int) -> str:
    """The letters that a block's attempts are shown under; the next block has others, so that none becomes a name."""
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # without what is read as a digit
    first = number * contenders
    return "".join(alphabet[(first + i) % len(alphabet)] for i in range(contenders))


def fingerprint_of(source: str | Path) -> str | None:
    """Return the SHA-256 of a checkpoint's files, names and contents; None of a server's address.

    Raises:
        VgilError: the folder is not there, or a file in it cannot be read.
    """
    if isinstance(source, str) and "://" in source:
        return None
    folder = Path(source)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise VgilError(f"{folder}: found no files; allowed: a checkpoint folder")
    digest = hashlib.sha256()
    for path in files:
        name = path.relative_to(folder).as_posix()
        try:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise VgilError(f"{path}: cannot be read ({error.strerror}); a checkpoint's files must be") from error
        digest.update(json.dumps([name, content]).encode())
    return digest.hexdigest()


def contenders_of(sources: Sequence[str | Path]) -> tuple[Contender, ...]:
    """Contenders, with their fingerprints.

    Raises:
        VgilError: fewer than two or too many, or a folder that cannot be read.
    """
    if not 2 <= len(sources) <= MOST:
        raise VgilError(f"checkpoints: found {len(sources)}; allowed: 2 to {MOST}")
    return tuple(Contender(source=_absolute(one), fingerprint=fingerprint_of(one)) for one in sources)


def _absolute(source: str | Path) -> str:
    return source if isinstance(source, str) and "://" in source else str(Path(source).absolute())
