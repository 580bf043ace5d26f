"""Lets a process with a control loop, and above all the loop's thread, run before others.

On a machine whose cores are all busy an ordinary thread wakes some milliseconds late, again and again; a real-time
one, within 0.1 ms. It sleeps nearly all the time, and the kernel leaves the others 5 % whatever it does. But it also
needs Python's global lock: a thread of its process that another process keeps from running, lock in hand, keeps the
loop waiting too. So the whole process is favoured, not the loop alone.
"""

from __future__ import annotations

import os
import threading

REALTIME = 10  # SCHED_FIFO, 1..99: above everything ordinary, below the kernel's own threads
NICER = 10  # of the other threads; 40 steps from -20 to 19


def favour() -> bool:
    """Make the calling thread, and those that it starts from now on, nicer off; return whether that was allowed."""
    thread = threading.get_native_id()
    try:
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) - NICER)
    except (AttributeError, OSError):  # another system, or a user who may not
        return False
    return True


def hurry() -> str | None:
    """Make the calling thread a real-time one. Threads and processes that it starts do not inherit that.

    Returns:
        None where it now is one, else why not, in words.
    """
    try:
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(threading.get_native_id(), policy, os.sched_param(REALTIME))
    except AttributeError:
        return "this system offers none"
    except OSError as error:
        return str(error.strerror)
    return None
