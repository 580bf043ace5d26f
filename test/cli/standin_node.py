"""A process that behaves as it is told: `NOTES NAME SECONDS CODE [ignore-int] [ignore-term]`; it notes every signal."""

import os
import signal
import sys
import time

notes, name, seconds, code, *habits = sys.argv[1:]
stopped: list[float] = []


def note(text: str) -> None:
    with open(notes, "a", encoding="utf-8") as file:
        file.write(f"{name} {text}\n")


def heed(number: int, frame: object) -> None:
    label = signal.Signals(number).name
    note(label)
    if {"SIGINT": "ignore-int", "SIGTERM": "ignore-term"}[label] not in habits:
        stopped.append(time.monotonic())


for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, heed)
note(f"pid {os.getpid()}")
print(f"{name} is up", flush=True)
end = time.monotonic() + float(seconds)
# A moment is waited after a signal, so that a second one would be noted too.
while time.monotonic() < end and not (stopped and time.monotonic() > stopped[0] + 0.3):
    time.sleep(0.02)
sys.exit(int(code))
