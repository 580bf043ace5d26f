"""The drivers of every shipped robot that is not a simulated one; sources stand in the contracts' heads."""

from __future__ import annotations

from support.robots.parts import Commands, Driver, States, follower, leader, realsense

ALOHA_ARM = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
ALOHA_REST = dict(zip(ALOHA_ARM, (0.0, -0.96, 1.16, 0.0, -0.3, 0.0), strict=True))
UR = ("shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint", "wrist_1_joint", "wrist_2_joint", "wrist_3_joint")
UR_REST = dict(zip(UR, (0.0, -1.5708, 1.5708, -1.5708, -1.5708, 0.0), strict=True))
SO101 = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
SO101_REST = dict(zip(SO101, (0.0, -1.0, 1.0, 0.8, 0.0, 1.0), strict=True))
FR3 = tuple(f"fr3_joint{i}" for i in range(1, 8))
FR3_REST = dict(zip(FR3, (0.0, -0.7854, 0.0, -2.3562, 0.0, 1.5708, 0.7854), strict=True))
PANDA = tuple(f"panda_joint{i}" for i in range(1, 8))
PANDA_REST = dict(zip(PANDA, FR3_REST.values(), strict=True))
FINGERS = ("fr3_finger_joint1", "fr3_finger_joint2")
GELLO_WIDTH = "/gripper/gripper_client/target_gripper_width_percent"


def interbotix(puppet: str, master: str, motor: tuple[float, float], led: tuple[float, float]) -> Driver:
    """Four xs_sdk nodes: `puppet` and `master` with a %s for the side; the grippers' (closed, open) in rad."""
    middle, led_middle = sum(motor) / 2, sum(led) / 2
    fingers = {
        name: ("gripper", motor, (0.0429 * sign, 0.0624 * sign))
        for name, sign in (("left_finger", 1), ("right_finger", -1))
    }
    wire = (*ALOHA_ARM, "gripper", "left_finger", "right_finger")
    bodies, states, commands = [], [], []
    for side in ("left", "right"):
        p, m = puppet % side, master % side
        bodies.append(follower(p, {**ALOHA_REST, "gripper": middle}, derived=fingers))
        bodies.append(leader(m, {**ALOHA_REST, "gripper": led_middle}, gripper=0.35 * abs(led[1] - led[0])))
        states += [States(f"/{p}/joint_states", p, wire), States(f"/{m}/joint_states", m, (*ALOHA_ARM, "gripper"))]
        commands.append(Commands(f"/{p}/commands", "interbotix", p, (*ALOHA_ARM, "gripper")))
    return Driver(tuple(bodies), tuple(states), tuple(commands), ())


def aloha() -> Driver:
    """Interbotix' own four arms and realsense2_camera."""
    arms = interbotix("follower_%s", "leader_%s", (0.6197, 1.6214), (-0.0552, 0.8298))
    names = ("cam_high", "cam_low", "cam_left_wrist", "cam_right_wrist")
    cameras = tuple((f"/{name}/camera/color/image_rect_raw", "image") for name in names)
    return Driver(arms.bodies, arms.states, arms.commands, cameras)


def mobile_aloha() -> Driver:
    """Four arms, usb_cam, and a Tracer."""
    arms = interbotix("puppet_%s", "master_%s", (-0.6213, 1.4910), (-1.65, -0.8))
    cameras = tuple((f"/usb_cam_{name}/image_raw", "image") for name in ("high", "left_wrist", "right_wrist"))
    return Driver(arms.bodies, arms.states, arms.commands, cameras, ("/odom", "/cmd_vel"))


def cobot_magic() -> Driver:
    """Each puppet goes where its master's topic says, whoever speaks there."""
    joints = tuple(f"joint{i}" for i in range(7))
    rest = dict(zip(joints, (0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 2.0), strict=True))
    bodies, states, commands = [], [], []
    for side in ("left", "right"):
        bodies += [follower(f"puppet_{side}", rest), leader(f"master_{side}", rest, joint6=0.3)]
        states += [
            States(f"/puppet/joint_{side}", f"puppet_{side}", joints),
            States(f"/master/joint_{side}", f"master_{side}", joints),
        ]
        commands.append(Commands(f"/master/joint_{side}", "by_position", f"puppet_{side}", joints))
    cameras = tuple((f"/camera_{place}/color/image_raw", "image") for place in "flr")
    return Driver(tuple(bodies), tuple(states), tuple(commands), cameras, ("/odom", "/cmd_vel"))


def gello(*, hand: bool) -> tuple[States, ...]:
    """GELLO's publisher: 25 Hz, and its trigger as a share of the width."""
    arm = States("/gello/joint_states", "gello", FR3, hz=25.0)
    return (arm, States(GELLO_WIDTH, "trigger", ("trigger",), hz=25.0, kind="float32")) if hand else (arm,)


def franka(arm: Commands, hand: Commands) -> Driver:
    """An FR3 with its hand, and a GELLO."""
    bodies = (
        follower("arm", FR3_REST),
        follower("hand", {FINGERS[0]: 0.02}, derived={FINGERS[1]: (FINGERS[0], (0.0, 1.0), (0.0, 1.0))}),
        leader("gello", FR3_REST),
        leader("trigger", {"trigger": 0.5}, swing=0.35),
    )
    states = (
        States("/franka/joint_states", "arm", FR3),
        States("/franka_gripper/joint_states", "hand", FINGERS, 15.0, 1),
    )
    return Driver(bodies, states + gello(hand=True), (arm, hand), realsense("cam_high", "cam_wrist"))


def franka_fr3_jtc() -> Driver:
    """The joint trajectory controller, and the hand's own action."""
    arm = Commands("/fr3_arm_controller/joint_trajectory", "trajectory", "arm", FR3)
    hand = Commands("/franka_gripper/gripper_action", "gripper_command", "hand", FINGERS[:1], 0.0, 0.04)
    return franka(arm, hand)


def franka_fr3_gello() -> Driver:
    """The impedance controller on GELLO's topic, and the gripper client on its trigger's."""
    arm = Commands("/gello/joint_states", "by_position", "arm", FR3, depth=1)
    return franka(arm, Commands(GELLO_WIDTH, "float32", "hand", FINGERS[:1], 0.0, 1.0, factor=0.04))


def vgil_franka() -> Driver:
    """A forward command controller, as ros2_control's mock hardware or a simulator has it."""
    bodies = (follower("arm", PANDA_REST), leader("master", PANDA_REST))
    states = (States("/puppet/joint_states", "arm", PANDA), States("/master/joint_states", "master", PANDA))
    commands = Commands("/puppet/joint_position_controller/commands", "array", "arm", PANDA)
    return Driver(bodies, states, (commands,), (("/top/image_raw", "image"),))


def ur5e() -> Driver:
    """joint_state_broadcaster has the joints in the order of the hardware's interfaces, sorted by name."""
    bodies = (follower("arm", UR_REST), leader("leader", UR_REST))
    states = (States("/joint_states", "arm", tuple(sorted(UR))), States("/leader/joint_states", "leader", UR))
    commands = Commands("/joint_trajectory_controller/joint_trajectory", "trajectory", "arm", UR)
    return Driver(bodies, states, (commands,), realsense("cam_high", "cam_wrist"))


def xarm6() -> Driver:
    """The arm by itself at 100 Hz (report_type dev), and arm and gripper repeated at 10 Hz."""
    arm = tuple(f"joint{i}" for i in range(1, 7))
    rest = dict(zip(arm, (0.0, -0.5, -0.8, 0.0, 1.3, 0.0), strict=True))
    knuckles = ("left_finger_joint", "left_inner_knuckle_joint", "right_outer_knuckle_joint", "right_finger_joint")
    same = dict.fromkeys(knuckles, ("drive_joint", (0.0, 1.0), (0.0, 1.0)))
    bodies = (
        follower("arm", {**rest, "drive_joint": 0.4}, derived=same),
        leader("leader", {**rest, "drive_joint": 0.4}, drive_joint=0.3),
    )
    states = (
        States("/xarm/joint_states", "arm", arm),
        States("/joint_states", "arm", (*arm, "drive_joint", *knuckles), hz=10.0),
        States("/leader/joint_states", "leader", (*arm, "drive_joint")),
    )
    commands = (
        Commands("/xarm6_traj_controller/joint_trajectory", "trajectory", "arm", arm),
        Commands("/xarm_gripper/gripper_action", "gripper_command", "arm", ("drive_joint",), 0.0, 0.85),
    )
    return Driver(bodies, states, commands, realsense("cam_high", "cam_wrist"))


def trossen_ai() -> Driver:
    """The dual launch: each arm in a namespace of its name, which stands before its joints' names too."""
    values = (0.0, 1.05, 0.52, 0.63, 0.0, 0.0, 0.022)
    names = ("joint_0", "joint_1", "joint_2", "joint_3", "joint_4", "joint_5", "left_carriage_joint")
    one, two = (tuple(f"trossen_arm_{i}/{name}" for name in names) for i in (1, 2))
    rests = (dict(zip(joints, values, strict=True)) for joints in (one, two))
    bodies = (follower("1", next(rests)), leader("2", next(rests), **{two[6]: 0.012}))
    states = (States("/trossen_arm_1/joint_states", "1", one), States("/trossen_arm_2/joint_states", "2", two))
    commands = (
        Commands("/trossen_arm_1/arm_controller/joint_trajectory", "trajectory", "1", one[:6]),
        Commands("/trossen_arm_1/gripper_controller/gripper_cmd", "parallel", "1", one[6:], 0.0, 0.044),
    )
    return Driver(bodies, states, commands, realsense("cam_high", "cam_wrist"))


def piper() -> Driver:
    """Two nodes of the same driver, by namespace."""
    joints = (*(f"joint{i}" for i in range(1, 7)), "gripper")
    rest = dict(zip(joints, (0.0, 0.8, -0.8, 0.0, 0.6, 0.0, 0.04), strict=True))
    bodies = (follower("follower", rest), leader("leader", rest, gripper=0.025))
    states = tuple(States(f"/{name}/joint_states_single", name, joints, depth=1) for name in ("follower", "leader"))
    commands = Commands("/follower/joint_ctrl_single", "by_name", "follower", joints, depth=1)
    return Driver(bodies, states, (commands,), realsense("cam_high", "cam_wrist"))


def openarm() -> Driver:
    """One joint_states for both arms and hands."""
    arms = {side: tuple(f"openarm_{side}_joint{i}" for i in range(1, 8)) for side in ("left", "right")}
    fingers = {side: f"openarm_{side}_finger_joint1" for side in arms}
    values = {"left": (0.0, -0.3, 0.0, 0.5, 0.0, 0.0, 0.0), "right": (0.0, 0.3, 0.0, 0.5, 0.0, 0.0, 0.0)}
    rest: dict[str, float] = {}
    for side, joints in arms.items():
        rest |= {**dict(zip(joints, values[side], strict=True)), fingers[side]: 0.022}
    bodies = (follower("both", rest), leader("leader", rest, **dict.fromkeys(fingers.values(), 0.012)))
    states = (States("/joint_states", "both", tuple(rest)), States("/leader/joint_states", "leader", tuple(rest)))
    commands = []
    for side, joints in arms.items():
        commands += [
            Commands(f"/{side}_joint_trajectory_controller/joint_trajectory", "trajectory", "both", joints),
            Commands(
                f"/{side}_gripper_controller/gripper_cmd", "gripper_command", "both", (fingers[side],), 0.0, 0.044
            ),
        ]
    return Driver(bodies, states, tuple(commands), realsense("cam_high", "cam_left_wrist", "cam_right_wrist"))


def so101(command: Commands, cameras: tuple[tuple[str, str], ...]) -> Driver:
    """A follower and a leader."""
    bodies = (follower("follower", SO101_REST), leader("leader", SO101_REST, gripper=0.6))
    states = tuple(States(f"/{name}/joint_states", name, SO101) for name in ("follower", "leader"))
    return Driver(bodies, states, (command,), cameras)


def so101_bus() -> Driver:
    """Our own node `feetech`: joint states in and out."""
    cameras = tuple((f"/{name}/image_raw", "image") for name in ("cam_front", "cam_wrist"))
    return so101(Commands("/follower/command", "by_name", "follower", SO101), cameras)


def so101_ros2() -> Driver:
    """ros2_control's forward command controller takes values by their place."""
    command = Commands("/follower/forward_controller/commands", "array", "follower", SO101)
    cameras = tuple((f"/{space}/image_raw/compressed", "compressed") for space in ("follower", "static_camera"))
    return so101(command, cameras)


DRIVERS = {
    "aloha": aloha,
    "cobot_magic": cobot_magic,
    "franka_fr3_gello": franka_fr3_gello,
    "franka_fr3_jtc": franka_fr3_jtc,
    "mobile_aloha": mobile_aloha,
    "openarm": openarm,
    "piper": piper,
    "so101": so101_bus,
    "so101_ros2": so101_ros2,
    "trossen_ai": trossen_ai,
    "ur5e": ur5e,
    "vgil_franka": vgil_franka,
    "xarm6": xarm6,
}
