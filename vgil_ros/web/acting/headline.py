"""What a policy does just now, in one word that is read from afar, and one line below it."""

from __future__ import annotations

from dataclasses import dataclass

from vgil_ros.web.link import OK, NodeStatus, PolicyRun

QUIET, READY, MOVES, SHOWS, WARNS, STOPPED = "quiet", "ready", "moves", "shows", "warns", "stopped"
SILENT_S = 2.0


@dataclass(frozen=True, slots=True)
class Headline:
    """Word, line, and tone: one of QUIET, READY, MOVES, SHOWS, WARNS, STOPPED."""

    word: str
    line: str
    tone: str


WORDS = {
    "preparing": ("STARTING", "the scene is being reset"),
    "waiting": ("STARTING", "waits for the streams"),
    "saving": ("SAVING", "the rollout is being closed"),
    "done": ("ENDED", "the node ends"),
}


def headline(status: NodeStatus | None, run: PolicyRun | None) -> Headline:
    """Say what goes on.

    Args:
        status: the policy's last one; None where none was heard lately.
        run: what the page started.
    """
    if run is not None and run.alive and run.ending:
        return Headline("ENDING", "holds, closes its rollout, and ends", QUIET)
    if status is None or (status.age_s > SILENT_S and (run is None or not run.alive)):
        return _absent(run)
    if status.age_s > SILENT_S:
        return Headline("SILENT", f"no word of the policy for {status.age_s:.0f} s: it may hang", STOPPED)
    return _present(status)


def _absent(run: PolicyRun | None) -> Headline:
    if run is None:
        return Headline("NO POLICY", "choose a checkpoint and load it", QUIET)
    if run.alive:
        return Headline("LOADING", run.lines[-1] if run.lines else f"{run.order.checkpoint}", QUIET)
    if run.exit_code == 0:
        return Headline("NO POLICY", "it has ended; load another, or this one again", QUIET)
    why = next((line for line in reversed(run.lines) if line.startswith("error: ")), "")
    return Headline("ENDED", why or f"the policy ended with exit code {run.exit_code}; see its log below", STOPPED)


def _present(status: NodeStatus) -> Headline:
    state, values = status.values.get("state", ""), status.values
    dry = values.get("dry_run") == "true"
    if state == "e-stop":
        return Headline("E-STOP", "nothing moves; release it, then start again", STOPPED)
    if state == "holding":
        return Headline("HOLDING", values.get("last_safety_event", status.message), WARNS)
    if state == "running":
        doing = Headline("DRY RUN", "nothing is sent to the robot", SHOWS) if dry else Headline("RUNS", "", MOVES)
        if status.level != OK:
            return Headline(doing.word, status.message, WARNS)
        return doing if dry else Headline("RUNS", "the robot moves", MOVES)
    if state in WORDS:
        return Headline(*WORDS[state], QUIET)
    if status.level != OK:
        return Headline("NOT READY", status.message, WARNS)
    return Headline("READY", "dry run: nothing will be sent" if dry else "start moves the robot", READY)
