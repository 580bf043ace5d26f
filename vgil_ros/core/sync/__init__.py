"""The soft synchroniser: streams that run at their own pace, brought to common ticks.

`push` and `sample` touch each stream once; there is no search over combinations. See `Synchronizer`.
"""

from vgil_ros.core.sync.synchronizer import Synchronizer
from vgil_ros.core.sync.types import Fault, Miss, Reason, Sample, StreamMiss

__all__ = ["Fault", "Miss", "Reason", "Sample", "StreamMiss", "Synchronizer"]
