"""A process of its own that records until it is killed; says each row that was taken. Arguments: folder, storage."""

import sys
import time
from typing import cast

from support.episodes import made_episodes as demo
from vgil_ros.episodes import EpisodeWriter

writer = EpisodeWriter(sys.argv[1], demo.meta(storage=cast(demo.Storage, sys.argv[2])), min_free_bytes=0)
for t in range(100_000):
    demo.add(writer, t)
    print(t, flush=True)
    time.sleep(0.01)
