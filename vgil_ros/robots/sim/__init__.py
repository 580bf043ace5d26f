"""The simulated robot: a world built from a contract, a task in it, and images of it."""

import vgil_ros.robots.sim.gl  # noqa: F401  sets MUJOCO_GL before MuJoCo is loaded
