"""The URDF's reader, forward kinematics against MuJoCo's, and the inverse against the forward."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.assets import load_contract
from vgil_ros.robots.arm_model import GRASP_LINK, ArmModel, ArmModelError
from vgil_ros.robots.kinematics import KinematicsError
from vgil_ros.robots.sim.robot import SimRobot
from vgil_ros.robots.transforms import pose, pose_rpy, quat_xyzw, rotation_about, rotation_rpy, rotation_vector
from vgil_ros.robots.urdf import UrdfError, load_urdf, parse_urdf

angles = st.floats(-3.1, 3.1)


def model(robot: str = "sim_aloha", arm: int = 1) -> ArmModel:
    return ArmModel(load_contract(robot)[0].arms[arm])


def test_lengths_and_limits_are_those_of_the_viperx_300s() -> None:
    urdf = load_urdf("vx300s.urdf")
    links = model("sim_single", 0).kinematics.forward(dict.fromkeys(urdf.driven, 0.0))
    mount = np.array([-0.469, 0.5, 0.0])
    assert links["upper_arm_link"][:3, 3] - mount == pytest.approx([0, 0, 0.12705])
    assert links["upper_forearm_link"][:3, 3] - mount == pytest.approx([0.05955, 0, 0.42705])
    assert links["wrist_link"][:3, 3] - mount == pytest.approx([0.35955, 0, 0.42705])
    assert links["gripper_link"][:3, 3] - mount == pytest.approx([0.429294, 0, 0.42705])
    assert (urdf.by_name["shoulder"].lower, urdf.by_name["shoulder"].upper) == (-1.85005, 1.25664)
    assert (urdf.by_name["elbow"].lower, urdf.by_name["elbow"].upper) == (-1.76278, 1.6057)
    assert (urdf.by_name["left_finger"].lower, urdf.by_name["left_finger"].upper) == (0.021, 0.057)


@pytest.mark.parametrize("seed", range(5))
def test_forward_kinematics_is_mujocos(seed: int) -> None:
    robot = SimRobot(load_contract("sim_aloha")[0], "transfer_cube")
    rng = np.random.default_rng(seed)
    for name, arm in robot.arms.items():
        position = rng.uniform(arm.lower, arm.upper)
        arm.place(robot.data, position)
        mujoco.mj_forward(robot.model, robot.data)
        links = arm.model.kinematics.forward(arm.model.named(position))
        assert len(links) == 10
        for link, found in links.items():
            body = robot.data.body(f"{name}/{link}")
            np.testing.assert_allclose(found[:3, 3], body.xpos, atol=1e-6)
            np.testing.assert_allclose(found[:3, :3], body.xmat.reshape(3, 3), atol=1e-6)


def test_visuals_stand_where_mujoco_draws_them() -> None:
    robot = SimRobot(load_contract("sim_single")[0], "pick_place")
    arm = robot.arms["arm"]
    states = robot.joint_states("arm")
    poses = arm.model.link_poses(dict(zip(states.names, states.position, strict=True)))
    drawn = [g for g in range(robot.model.ngeom) if robot.model.geom_group[g] == 1]
    assert len(poses) == len(drawn) > 20
    where = {tuple(np.round(robot.data.geom_xpos[g], 5)) for g in drawn}
    assert {tuple(np.round(xyz, 5)) for _, xyz, _ in poses} == where
    assert all(np.linalg.norm(quat) == pytest.approx(1.0) for _, _, quat in poses)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.2, 0.8), min_size=6, max_size=6))
def test_inverse_finds_a_pose_that_forward_made(shares: list[float]) -> None:
    arm = model()
    joints = list(arm.joints[:6])
    lower, upper = (np.array([getattr(arm.urdf.by_name[j], key) for j in joints]) for key in ("lower", "upper"))
    wanted = lower + np.array(shares) * (upper - lower)
    start = arm.named(np.asarray(arm.arm.home))
    target = arm.kinematics.forward({**start, **dict(zip(joints, wanted, strict=True))})[GRASP_LINK]
    near = {**start, **dict(zip(joints, wanted + 0.1, strict=True))}
    found = arm.kinematics.inverse(GRASP_LINK, target, joints, near)
    reached = arm.kinematics.forward({**start, **dict(zip(joints, found, strict=True))})[GRASP_LINK]
    np.testing.assert_allclose(reached, target, atol=2e-3)
    assert (found >= lower).all()
    assert (found <= upper).all()


def test_jacobian_is_the_derivative() -> None:
    arm = model()
    at = arm.named(np.array([0.3, -0.5, 0.7, 0.4, -0.6, 0.2, 0.03]))
    jacobian = arm.kinematics.jacobian(arm.kinematics.forward(at), GRASP_LINK, arm.joints[:6])
    for column, joint in enumerate(arm.joints[:6]):
        before, after = (arm.kinematics.forward({**at, joint: at[joint] + d})[GRASP_LINK] for d in (-1e-6, 1e-6))
        speed = (after[:3, 3] - before[:3, 3]) / 2e-6
        turn = rotation_vector(after[:3, :3] @ before[:3, :3].T) / 2e-6
        np.testing.assert_allclose(jacobian[:, column], [*speed, *turn], atol=1e-5)


def test_out_of_reach_is_said() -> None:
    arm = model("sim_single", 0)
    start = arm.named(np.asarray(arm.arm.home))
    with pytest.raises(KinematicsError, match=r"cannot reach \[2.0, 0.0, 0.5\]"):
        arm.kinematics.inverse(GRASP_LINK, pose((2.0, 0.0, 0.5)), arm.joints[:6], start)


@given(angles, angles, angles)
def test_quaternions_and_rotation_vectors_turn_back(roll: float, pitch: float, yaw: float) -> None:
    rotation = rotation_rpy((roll, pitch, yaw))
    x, y, z, w = quat_xyzw(rotation)
    axis_angle = rotation_vector(rotation)
    angle = np.linalg.norm(axis_angle)
    axis = axis_angle / angle if angle > 1e-9 else np.array([1.0, 0, 0])
    np.testing.assert_allclose(rotation_about(axis, float(angle)), rotation, atol=1e-7)
    assert np.cos(angle / 2) == pytest.approx(abs(w), abs=1e-7)
    assert x * x + y * y + z * z + w * w == pytest.approx(1.0)


def test_the_grippers_range_is_laid_onto_the_finger() -> None:
    arm = load_contract("sim_single")[0].arms[0]
    gripper = arm.gripper.model_copy(update={"puppet_range": (1.5, -0.5)})  # closed at the larger value
    limits = arm.limits.model_copy(
        update={"lower": (*arm.limits.lower[:6], -0.5), "upper": (*arm.limits.upper[:6], 1.5)}
    )
    other = ArmModel(arm.model_copy(update={"gripper": gripper, "limits": limits}))
    closed, opened, half = (np.array([0.0] * 6 + [x]) for x in (1.5, -0.5, 0.5))
    assert other.to_urdf(closed)[6] == pytest.approx(0.021)
    assert other.to_urdf(opened)[6] == pytest.approx(0.057)
    assert other.from_urdf(other.to_urdf(half)) == pytest.approx(half)
    way = other.to_urdf(opened) - other.to_urdf(closed)
    assert other.rate_from_urdf(way) == pytest.approx(opened - closed)


def test_other_joints_are_named() -> None:
    arm = load_contract("sim_single")[0].arms[0]
    with pytest.raises(ArmModelError, match=r"no joint \['knee'\].*needs \['waist'\].*allowed"):
        ArmModel(arm.model_copy(update={"joints": ("knee", *arm.joints[1:])}))
    with pytest.raises(ArmModelError, match="names no urdf"):
        ArmModel(arm.model_copy(update={"urdf": None}))
    with pytest.raises(UrdfError, match=r"urdf 'x.urdf' is unknown; allowed: \['vx300s.urdf'\]"):
        ArmModel(arm.model_copy(update={"urdf": "x.urdf"}))


LINKS = '<link name="a"/><link name="b"/>'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<link", "not readable as XML"),
        (f"{LINKS}</robot>", "found 2 root links"),
        (f'{LINKS}<joint name="j" type="floating"><parent link="a"/><child link="b"/></joint></robot>', "'floating'"),
        (f'{LINKS}<joint name="j" type="fixed"><parent link="a"/><child link="c"/></joint></robot>', "link 'c'"),
        (
            f'{LINKS}<joint name="j" type="revolute"><parent link="a"/><child link="b"/></joint></robot>',
            "lower and upper",
        ),
        ('<link name="a"><visual><geometry><mesh filename="x"/></geometry></visual></link></robot>', "'mesh'"),
        ('<link name="a"><visual><geometry><box size="1 0 1"/></geometry></visual></link></robot>', "above 0"),
    ],
)
def test_a_bad_urdf_is_refused_by_name(body: str, said: str) -> None:
    with pytest.raises(UrdfError, match=f"x.urdf.*{said}"):
        parse_urdf(f'<robot name="r">{body}', "x.urdf")


def test_mount_moves_the_arm() -> None:
    arm = model("sim_aloha", 1)
    np.testing.assert_allclose(arm.kinematics.mount, pose_rpy((0.469, 0.5, 0.0), (0, 0, np.pi)), atol=1e-7)
