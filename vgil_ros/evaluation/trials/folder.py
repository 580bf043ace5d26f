"""Folder of a trial: journal, hidden order, report; their signature, and the check that nothing was altered."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from vgil_ros.core.config import load_json, validate
from vgil_ros.core.errors import VgilError
from vgil_ros.core.files import write_whole
from vgil_ros.evaluation.trials.journal import NAME, ReadJournal, read_journal
from vgil_ros.evaluation.trials.plan import Contender, HiddenOrder, fingerprint_of
from vgil_ros.evaluation.trials.report import TrialReport, make_trial_report, trial_markdown

HIDDEN = ".order"  # not to be looked into before the end; not encrypted
REPORT, PAGE, SIGNATURE = "report.json", "report.md", "report.json.sig"
NAMESPACE = "vgil-trial"  # of the signature: it is for nothing else


def write_hidden(folder: Path, hidden: HiddenOrder) -> None:
    """Keep the order where it is not read by accident.

    Raises:
        VgilError: it cannot be written.
    """
    _replace(folder / HIDDEN, base64.b64encode(hidden.model_dump_json().encode()).decode() + "\n")


def read_hidden(folder: Path) -> HiddenOrder:
    """Read it.

    Raises:
        VgilError: it is not there, or something else.
    """
    path = folder / HIDDEN
    try:
        values = json.loads(base64.b64decode(path.read_text(encoding="ascii")))
    except (OSError, ValueError) as error:
        raise VgilError(f"{path}: the hidden order cannot be read ({error}); allowed: what the trial wrote") from error
    return validate(HiddenOrder, values, str(path))


def write_report(folder: Path, key: Path | None = None) -> TrialReport:
    """Unseal a trial and write its report; sign it with an SSH key where one is given.

    Without one, the signature of a report that is the same to the byte stays.

    Raises:
        VgilError: it cannot be written or signed.
    """
    report = make_trial_report(read_journal(folder / NAME), read_hidden(folder))
    text = json.dumps(report.as_dict(), indent=2) + "\n"
    if key is not None or not _holds(folder / REPORT, text):
        (folder / SIGNATURE).unlink(missing_ok=True)
    _replace(folder / PAGE, trial_markdown(report))
    _replace(folder / REPORT, text)
    if key is not None:
        done = _ssh_keygen("sign", "-f", str(key), str(folder / REPORT))
        if done.returncode:
            raise VgilError(f"--key {key}: the report is not signed: {done.stderr.strip()}; allowed: a private SSH key")
    return report


def verify(folder: Path) -> list[str]:
    """Return what does not fit in a trial's folder, one line each; none where nothing was altered.

    Raises:
        VgilError: there is no journal.
    """
    journal = read_journal(folder / NAME)
    faults = [journal.fault] if journal.fault else []
    if journal.torn:
        faults.append(
            f"{NAME}: ends within a line ({journal.torn} bytes), as a kill leaves it; allowed: whole ones, run it again"
        )
    if not journal.lines:
        return [*faults, f"{NAME}: holds no plan"]
    try:
        hidden = read_hidden(folder)
    except VgilError as error:
        return [*faults, str(error)]
    if hidden.commitment != journal.plan.commitment:
        faults.append(f"{HIDDEN}: is not the order that was settled; allowed: the one of the plan's commitment")
    faults += [fault for one in journal.plan.contenders if (fault := _altered(one))]
    if not (folder / REPORT).is_file():
        return faults if journal.end is None else [*faults, f"{REPORT}: is missing; the journal says that it ended"]
    return [*faults, *_report_faults(folder, journal, hidden), *_signature_faults(folder)]


def _altered(contender: Contender) -> str | None:
    if contender.fingerprint is None:
        return None
    try:
        found = fingerprint_of(contender.source)
    except VgilError:
        return f"checkpoint {contender.source}: is not there any more; its fingerprint was {contender.fingerprint}"
    if found == contender.fingerprint:
        return None
    return f"checkpoint {contender.source}: was altered, its fingerprint is {found}; tried was {contender.fingerprint}"


def _report_faults(folder: Path, journal: ReadJournal, hidden: HiddenOrder) -> Iterator[str]:
    """The report, against the one that the journal makes."""
    try:
        found = validate(TrialReport, load_json(folder / REPORT), REPORT)
    except VgilError as error:
        yield str(error)
        return
    if found.seal != found.digest():
        yield f"{REPORT}: its seal does not fit what it says"
    expected = make_trial_report(journal, hidden).as_dict()
    differing = [key for key, value in found.as_dict().items() if value != expected[key] and key != "seal"]
    if differing:
        yield f"{REPORT}: {', '.join(differing)} differ from what the journal says"
    page = folder / PAGE
    if not page.is_file() or page.read_text(encoding="utf-8", errors="replace") != trial_markdown(found):
        yield f"{PAGE}: is not the page of {REPORT}"


def _signature_faults(folder: Path) -> Iterator[str]:
    if not (folder / SIGNATURE).is_file():
        return
    with (folder / REPORT).open("rb") as report:
        done = _ssh_keygen("check-novalidate", "-s", str(folder / SIGNATURE), stdin=report.fileno())
    if done.returncode:
        yield f"{SIGNATURE}: is no signature of this {REPORT}"


def signer(folder: Path) -> str | None:
    """The fingerprint of the key that signed the report, as `ssh-keygen -l` has it; None where nobody did."""
    if not (folder / SIGNATURE).is_file():
        return None
    with (folder / REPORT).open("rb") as report:
        done = _ssh_keygen("check-novalidate", "-s", str(folder / SIGNATURE), stdin=report.fileno())
    return done.stdout.strip().rpartition(" ")[2] if done.returncode == 0 else None


def _ssh_keygen(action: str, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    if shutil.which("ssh-keygen") is None:
        raise VgilError(
            "a signature needs ssh-keygen, and there is none here; allowed: without --key, or openssh-client"
        )
    command = ["ssh-keygen", "-Y", action, "-n", NAMESPACE, *arguments]
    return subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)


def _holds(path: Path, text: str) -> bool:
    """Whether a file holds just this."""
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise VgilError(f"{path}: cannot be written ({error.strerror}); --out takes a folder with room") from error
