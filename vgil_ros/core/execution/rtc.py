"""Real-time chunking: the next chunk is made to agree with what will have been played before it comes.

The result of a request about tick q comes some ticks later, when the plan's actions of those ticks have been played.
The request therefore carries the plan (`prefix`): its first d rows have to come out as they are, d being the longest
of the last few delays and one tick more; the rest up to the plan's end counts less and less. A result within d ticks
then takes over as it is, without a jump and without a fade. One that comes later meets rows that were not settled: it
is faded in as `async` does, and counted in `late`.

Only a policy that keeps a prefix can be played like this (`Policy.supports_prefix`). Source: Black, Galliker
and Levine, "Real-Time Execution of Action Chunking Flow Policies" (arXiv:2506.07339), algorithm 1.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import ArrayLike

from vgil_ros.core.execution.asynchronous import fade
from vgil_ros.core.execution.executor import check_ticks
from vgil_ros.core.execution.plan import PlanExecutor
from vgil_ros.core.execution.prefix import Floats, Prefix, prefix_weights

REMEMBERED = 10  # delays


class RealTimeChunking(PlanExecutor):
    """ChunkExecutor that plays one plan and gives each request the rows of it that are settled.

    Attributes:
        late: chunks since the reset that came after their settled rows had ended.
    """

    uses_prefix = True

    def __init__(self, horizon: int, dim: int, inference_period: int = 1, blend: int = 5) -> None:
        """`inference_period`: ticks between requests, 1 to H; `blend`: ticks a late chunk's fade takes, 0 to H."""
        super().__init__(horizon, dim, inference_period)
        self._blend = check_ticks("blend", blend, 0, horizon)

    def reset(self) -> None:
        """Forget the plan, what was asked and how long it took."""
        super().reset()
        self._delays: deque[int] = deque(maxlen=REMEMBERED)
        self._now: int | None = None  # the newest tick heard of
        self._played: int | None = None  # the newest tick that an action was given for
        self._arrived: int | None = None  # what the newest chunk was made for, until the tick of its coming is known
        self._settled: dict[int, int] = {}  # by the tick asked about: the first tick that is not settled
        self.late = 0

    @property
    def delay(self) -> int:
        """Ticks d between a request's tick and the tick its result came in, with one to spare."""
        return min(max(self._delays, default=0) + 1, self._horizon)

    def prefix(self, made_for_tick: int) -> Prefix | None:
        """The prefix that the request about the observation of this tick must carry; None where no plan covers it.

        Rows whose ticks have come already are settled whatever the delay was so far.
        """
        left = self.coming(made_for_tick)
        if not len(left) or not np.isfinite(left).all():
            return None
        due = 0 if self._now is None else self._now + 1 - made_for_tick
        delay = min(max(self.delay, due), len(left))
        self._settled[made_for_tick] = made_for_tick + delay
        action = left[np.minimum(np.arange(self._horizon), len(left) - 1)]
        return Prefix(action, prefix_weights(self._horizon, delay, len(left)))

    def add_chunk(self, made_for_tick: int, chunk: ArrayLike) -> bool:
        """Play a chunk (H, D) from now on, unless one made for this tick or a newer one is played already."""
        own = self._fresh(made_for_tick, chunk)
        if own is None:
            return False
        self._arrived = made_for_tick
        begin = max(made_for_tick, self._due())
        settled = self._settled.get(made_for_tick, made_for_tick)
        self._settled = {tick: end for tick, end in self._settled.items() if tick > made_for_tick}
        if begin >= made_for_tick + self._horizon:
            return False
        self._take_over(made_for_tick, begin, own, late=begin > settled)
        self._newest = made_for_tick
        return True

    def action(self, tick: int) -> Floats | None:
        """The plan's row (D,) for this tick, or None."""
        self._see(tick)
        rows = self.coming(tick)
        if not len(rows):
            return None
        self._played = tick if self._played is None else max(self._played, tick)
        result: Floats | None = rows[0]
        return result

    def wants_inference(self, tick: int) -> bool:
        """When `inference_period` ticks have passed since the tick of the newest prediction."""
        self._see(tick)
        return super().wants_inference(tick)

    def _due(self) -> int:
        """The first tick that an action may still be asked for."""
        played = self._start if self._played is None else self._played + 1
        return played if self._now is None else max(played, self._now)

    def _see(self, tick: int) -> None:
        if self._arrived is not None:  # the first tick heard of after a chunk is the one it came in
            self._delays.append(max(tick - self._arrived, 0))
            self._arrived = None
        self._now = tick if self._now is None else max(self._now, tick)

    def _take_over(self, made_for: int, begin: int, own: Floats, late: bool) -> None:
        """The new plan: ticks before `begin` as they were played, which the next request may reach back to."""
        before = self.coming(made_for)[: begin - made_for]
        last = begin - 1 - self._start
        if late and 0 <= last < len(self._plan):  # something is being played that the chunk need not agree with
            own[begin - made_for :] = fade(self._plan, last + 1, own[begin - made_for :], self._blend)
            self.late += 1
        own[: len(before)] = before
        self._start, self._plan = made_for, own
