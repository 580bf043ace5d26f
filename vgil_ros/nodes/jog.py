"""Node `jog`: a master moved by keys, a gamepad, a SpaceMouse or a topic. To teleop and recorder it is like any other.

It begins where the puppets are, so that nothing moves when it starts.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Empty

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Arm
from vgil_ros.core.control.takeover import Actor
from vgil_ros.core.errors import VgilError
from vgil_ros.core.guard.reading_guard import RESET_NS, guards_of
from vgil_ros.core.layout import Layout, puppet_reader
from vgil_ros.core.streams import shared_topics
from vgil_ros.nodes.base.alerts import Severity
from vgil_ros.nodes.base.keyboard import Keys
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode, run
from vgil_ros.nodes.base.status import OK, WARN, StatusPublisher
from vgil_ros.nodes.jogging.devices import Device, JoystickFile, JoyTopic, Keyboard, Nothing
from vgil_ros.nodes.jogging.panel import Panel
from vgil_ros.nodes.jogging.recorder_keys import HELP, RecorderKeys, StatusOf
from vgil_ros.nodes.jogging.topics import TopicWishes
from vgil_ros.nodes.messages.arm_readings import ArmReadings
from vgil_ros.nodes.messages.command_places import LOOK_S, CommandTopic
from vgil_ros.nodes.messages.joint_states import joint_state
from vgil_ros.nodes.messages.joint_subscriptions import JointSubscriptions
from vgil_ros.nodes.messages.subscriptions import sensor_qos
from vgil_ros.nodes.messages.template import Template
from vgil_ros.nodes.teleop import RELEASED
from vgil_ros.robots.jog.gamepad import PRESETS, Pad, PadMap
from vgil_ros.robots.jog.jogger import FRAMES, MOST_DT, Jogger
from vgil_ros.robots.jog.joystick import Joystick
from vgil_ros.robots.jog.keys import HeldKeys
from vgil_ros.robots.jog.settings import COMMANDS, LEVELS, JogSettings

DEVICES = ("keyboard", "gamepad", "spacemouse", "topic")
STALE_NS = 200_000_000  # as of a follower: a puppet that is silent for longer is led nowhere
SETTLED_NS = RESET_NS // 2  # after a reset of the scene: by then states from before it have come
PANEL_S = 0.2
STYLES: dict[Severity, str] = {"info": "", "warning": "yellow", "error": "red"}


class MasterTopic:
    """Where an arm's master is published, as long as nobody else does.

    Args:
        topic: which other arms' masters may come on too.
        joints: in the master's names.
    """

    def __init__(self, topic: CommandTopic, joints: list[str]) -> None:
        self.topic = topic
        self._template = Template(partial(joint_state, joints), len(joints))
        self.heard_ns: int | None = None  # since when the puppet is
        self._begun = False

    @property
    def led(self) -> bool:
        """Whether the arm is led from here."""
        return self._begun and self.topic.taken

    def take(self) -> None:
        """Lead the arm from now on."""
        self.topic.take()
        self._begun = True

    def let_go(self) -> None:
        """Leave the topic to another leader."""
        self.topic.let_go()
        self.heard_ns, self._begun = None, False

    def publish(self, position: np.ndarray, stamp_ns: int) -> None:
        """Send a position (J,) in the master's units."""
        if self.led:
            self.topic.publisher.publish(self._template.filled(position.tolist(), stamp_ns))


class Jog(VgilNode):
    """Moves masters by hand."""

    _panel: Panel | None = None

    def __init__(self) -> None:
        super().__init__("jog")
        self.contract, _ = load_contract(self.declare("robot", "sim_aloha", doc=ROBOT_DOC))
        self.layout = Layout(self.contract)
        self._led = [(i, arm) for i, arm in enumerate(self.layout.arms) if arm.arm.master]
        if not self._led:
            raise VgilError(f"robot '{self.contract.name}': no master; jog is one, and needs a topic: arms[].master")
        kind = self.declare("device", "keyboard", choices=DEVICES, doc="what moves the arms; ~/twist does beside it")
        frame = self.declare("frame", "base", choices=FRAMES, doc="of the motions, to begin with")
        doc = f"speed level to begin with: {', '.join(f'{level:g}' for level in LEVELS)} of the limits"
        level = self.declare("level", 3, low=1, high=len(LEVELS), doc=doc)
        rate = self.declare("rate", 100.0, low=20.0, high=500.0, doc="of the masters, Hz")
        doc = "how long a gamepad or ~/twist may be silent before everything stands, ms"
        deadman_ns = round(self.declare("deadman_ms", 250.0, low=20.0, high=2000.0, doc=doc) * 1e6)
        settings = self._settings()
        self.jogger = Jogger(self.layout, [arm for _, arm in self._led], settings, frame=frame, level=level - 1)
        doc = "std_msgs/Empty, by which a simulator tells that it has reset its scene; empty: nobody does"
        reset_topic = self.declare("reset_topic", "sim/was_reset", doc=doc)
        self._wishes = TopicWishes(self, self.jogger, deadman_ns, lambda: self._device.release())
        self._recorder = RecorderKeys(self)
        self._teleop, self._policy = StatusOf(self, "teleop"), StatusOf(self, "policy")
        self._device = self._open(kind, settings, deadman_ns)
        guards, period_s = guards_of(self.contract), 1.0 / rate
        self._masters: list[MasterTopic] = []
        self._puppets: list[ArmReadings] = []
        topics, shared = JointSubscriptions(self, sensor_qos(10)), shared_topics(self.contract)
        places: dict[str, CommandTopic] = {}  # one for each topic, whose only publisher is to be this node's
        for _, arm in self._led:
            puppet = arm.arm.puppet
            place = self._master_place(arm.arm)
            place = places.setdefault(place.name, place)
            self._masters.append(MasterTopic(place, list(arm.arm.master_joints)))
            reader = puppet_reader(arm.arm)
            guard, among = guards.get(reader.stream), puppet.topic in shared
            self._puppets.append(ArmReadings(self, topics, puppet, reader, guard, arm.state, period_s, among))
        if reset_topic:
            self.create_subscription(Empty, reset_topic, self._on_reset, 10)
        self._reset_ns: int | None = None
        self._status = StatusPublisher(self, "~/status", self.contract.name)
        self._said = ""
        self._asking = False
        self._last_ns = self.now_ns()
        self.control_timer(period_s, self._step)
        self.background_timer(0.2, self._publish_status)
        self.background_timer(0.2, self._watch_masters)
        if kind == "keyboard" and Panel.possible():
            self._panel = Panel(self.jogger, HELP)
            self.background_timer(PANEL_S, self._draw)

    def _master_place(self, arm: Arm) -> CommandTopic:
        """Where an arm's master is published."""
        assert arm.master is not None
        if arm.master.is_number:
            raise VgilError(
                f"{arm.name}/master is of type {arm.master.type}, a device's own number; allowed: joint_state,"
                " which jog publishes"
            )
        if arm.master.topic in [other.puppet.topic for other in self.contract.arms]:
            raise VgilError(
                f"{arm.name}/master is on '{arm.master.topic}', where a puppet's driver publishes; allowed with jog: a"
                " topic of masters alone"
            )
        return CommandTopic(self, JointState, arm.master.topic)

    def _settings(self) -> JogSettings:
        """The speeds, as parameters."""
        usual = JogSettings()
        doc = "fastest that the tip goes, at the highest speed level, m/s"
        linear = self.declare("linear_speed", usual.linear, low=0.01, high=1.0, doc=doc)
        doc = "fastest that the tip turns, at the highest speed level, rad/s"
        angular = self.declare("angular_speed", usual.angular, low=0.05, high=3.0, doc=doc)
        doc = "most that a joint takes of its velocity limit, a share"
        joint = self.declare("joint_speed", usual.joint_speed, low=0.01, high=1.0, doc=doc)
        doc = "share of the velocity limits on the way home"
        home = self.declare("home_speed", usual.home_speed, low=0.01, high=0.5, doc=doc)
        doc = "of the gripper, in its whole travel a second"
        gripper = self.declare("gripper_speed", usual.gripper_speed, low=0.1, high=10.0, doc=doc)
        doc = "of a key press in step mode, at the highest speed level, m"
        step = self.declare("step_linear", usual.step_linear, low=0.001, high=0.1, doc=doc)
        doc = "of a key press in step mode, at the highest speed level, rad"
        turn = self.declare("step_angular", usual.step_angular, low=0.01, high=0.5, doc=doc)
        doc = "the link that is moved; empty: the grasp link, or the last one"
        tip = self.declare("tip", "", doc=doc)
        return JogSettings(linear, angular, joint, home, gripper, step, turn, usual.smooth_s, tip)

    def _open(self, kind: str, settings: JogSettings, deadman_ns: int) -> Device:
        """The device, with its parameters: all are declared, whichever device it is."""
        doc = "a key counts as held for so long after it was pressed, ms: longer than the pause before it repeats"
        first = self.declare("key_first_ms", 500.0, low=20.0, high=2000.0, doc=doc)
        doc = "and for so long after each repeat, ms"
        repeat = self.declare("key_repeat_ms", 150.0, low=20.0, high=1000.0, doc=doc)
        axes_of, buttons_of, topic_of = PRESETS["spacemouse" if kind == "spacemouse" else "gamepad"]
        doc = "axes of the gamepad, NAME=NUMBER, -NUMBER turns one round; empty: the device's usual ones"
        axes = self.declare("axes", "", doc=doc) or axes_of
        doc = "buttons of the gamepad, NAME=NUMBER; empty: the device's usual ones"
        buttons = self.declare("buttons", "", doc=doc) or buttons_of
        deadzone = self.declare("deadzone", 0.1, low=0.0, high=0.9, doc="of an axis of the gamepad, a share")
        doc = "sensor_msgs/Joy of the gamepad; empty: /joy, of a SpaceMouse /spacenav/joy"
        topic = self.declare("joy_topic", "", doc=doc) or topic_of
        doc = "a gamepad that is read without a topic: /dev/input/js0; empty: the topic"
        path = self.declare("joystick", "", doc=doc)
        if kind == "topic":
            return Nothing()
        if kind == "keyboard":
            return self._keyboard(settings, first / 1e3, repeat / 1e3)
        pad = Pad(PadMap.parse(axes, buttons), deadzone)
        return JoystickFile(self, Joystick(path), pad) if path else JoyTopic(self, topic, pad, deadman_ns)

    def _keyboard(self, settings: JogSettings, first_s: float, repeat_s: float) -> Device:
        keys = Keys()
        if not keys.available:
            raise VgilError("no terminal for keys: start jog in one of its own (vgil jog), or give device:=topic")
        step_s = [settings.step_linear / settings.linear] * 3 + [settings.step_angular / settings.angular] * 3
        return Keyboard(keys, HeldKeys(first_s, repeat_s, np.array([*step_s, 0.1 / settings.gripper_speed])))

    def _step(self) -> None:
        now = self.now_ns()
        if now == self._last_ns:  # a simulated clock may stand between two turns
            return
        dt = min(max((now - self._last_ns) / 1e9, 0.0), MOST_DT)
        self._last_ns = now
        self._measure(now)
        for command in self._device.commands(now, lambda: self.jogger.pace):
            self._do(command)
        self._go_on(now, dt, self._device.stick(dt, self.jogger.pace))
        for i, (_, arm) in enumerate(self._led):
            position = self.jogger.arms[i].position
            if position is not None:
                self._masters[i].publish(arm.master.restore(position), now)
        self._explain()

    def _go_on(self, now: int, dt: float, stick: np.ndarray) -> None:
        """The device's wish, or where that is none the topics'. A wish that ran out stops everything at once."""
        wish, ran_out = self._wishes.twist(now)
        opening, let_go = self._wishes.gripper(now)
        by_hand = wish is None and opening is None
        if self._device.silent and (self._asking or (by_hand and self.jogger.going)):
            self.warn_once("silent", "the device is silent: everything stands")
            ran_out = True
        elif not self._device.silent:
            self.clear("silent")
        if by_hand and self._device.let_go and (self.jogger.going or self.jogger.gripping):
            ran_out = True
        self._asking = bool(stick.any())
        if ran_out or let_go:
            self.jogger.halt()
        if opening is not None:
            self.jogger.arm.grip_to(opening)
        if wish is None or self._asking:
            self.jogger.step(dt, self.jogger.twist(stick), float(stick[6]))
        else:
            self.jogger.step(dt, wish.twist, 0.0, wish.in_tool)

    def _measure(self, now: int) -> None:
        """Tell where the puppets are. Where teleop has let go of them, or a policy that can be taken over from has
        them, the masters go along, whoever moves them."""
        if self._reset_ns is not None and 0 <= now - self._reset_ns < SETTLED_NS:
            return
        if self._reset_ns is not None:
            self._reset_ns = None
            for state in self._puppets:
                state.scene_was_reset(now)  # what came since may be from before
            return
        policy = self._policy.value("actor") in (Actor.POLICY.words, Actor.RETURNING.words)
        released = self._teleop.value("state") == RELEASED or policy
        for i in range(len(self._puppets)):
            fresh = self._fresh(i, now)
            self.jogger.measured(i, fresh)
            if fresh is None:
                continue
            if self._masters[i].heard_ns is None:
                self._masters[i].heard_ns = now
            if released:
                self.jogger.arms[i].begin(fresh)

    def _fresh(self, i: int, now: int) -> np.ndarray | None:
        """Where a puppet is, (J,); None where that is not known."""
        found = self._puppets[i].trusted(now)
        return None if found is None or abs(now - found[1]) > STALE_NS else found[0]

    def _do(self, command: str) -> None:
        if command in ("stop", "arm", "frame"):  # what is held, or owed, was meant for the arm and frame before
            self._device.release()
        if command in COMMANDS:
            self.jogger.do(command)
        elif self._panel is not None or isinstance(self._device, Keyboard):
            self._recorder.press(command)

    def _on_reset(self, message: Empty) -> None:
        """Silent until the puppets' new places are known: a master that stays would be a jump later."""
        self._reset_ns = self.now_ns()
        self._device.release()
        self.jogger.forget()
        for state in self._puppets:
            state.scene_was_reset(self._reset_ns)

    def _watch_masters(self) -> None:
        """Lead an arm once its puppet is heard and nobody else leads it; leave it to another that comes up."""
        for i, master in enumerate(self._masters):
            name = self.jogger.arms[i].name
            if (words := master.topic.contested()) is not None:
                self.warn_once(f"{name}/master", f"{name}: not led by jog: {words}")
                master.let_go()
            elif master.led:
                self.clear(f"{name}/master")
            elif master.heard_ns is None:
                self.warn_once(f"{name}/puppet", f"{name}: waiting for {self._led[i][1].arm.puppet.topic}")
            elif self.now_ns() - master.heard_ns >= LOOK_S * 1e9:
                fresh = self._fresh(i, self.now_ns())
                if fresh is None:
                    continue
                self.clear(f"{name}/puppet")
                self.jogger.arms[i].begin(fresh)  # another may have moved it since it was heard first
                master.take()
                self.log(f"{name}: led from where it is")

    def _explain(self) -> None:
        """Say what hinders the arm, once it does; the panel shows it as it is."""
        words = self.jogger.hindrance().partition(";")[0]
        if words and words != self._said:
            self.log(words, severity="warning")
        self._said = words

    def _publish_status(self) -> None:
        linear, angular = self.jogger.speed
        values: dict[str, object] = {
            "robot": self.contract.name,
            "arm": self.jogger.arm.name,
            "frame": FRAMES[self.jogger.in_tool],
            "linear_speed": linear,
            "angular_speed": angular,
            "steps": self.jogger.steps,
        }
        leading = [master.led for master in self._masters]
        values["state"] = "leading" if all(leading) else "waiting"
        words = "; ".join(w for w in (self.jogger.hindrance(), *self.active_warnings) if w)
        level = OK if all(leading) and not self.active_warnings else WARN
        self._status.publish(level, words or "the arms are led from here", values)

    def _draw(self) -> None:
        assert self._panel is not None
        recorder, teleop = self._recorder.status.value("state"), self._teleop.value("state")
        notes = [f"recorder {recorder or 'not heard'}, teleop {teleop or 'not heard'}"]
        self._panel.draw([*notes, *self.active_warnings])

    def log(self, words: str, *, severity: Severity = "info") -> None:
        """As in every node; and above the panel."""
        later = self._pending_lines is not None  # then this is called again
        super().log(words, severity=severity)
        if self._panel is not None and not later:
            self._panel.line(words, STYLES[severity])

    def on_shutdown(self) -> None:
        """The terminal is given back. A master that falls silent has its puppet held."""
        if self._panel is not None:
            self._panel.close()
            self._panel = None
        self._device.close()


def main() -> None:
    """Entry point of the executable `jog`."""
    run(Jog)


if __name__ == "__main__":
    main()
