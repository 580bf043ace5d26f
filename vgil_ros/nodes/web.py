"""Node `web`: the operator's page, in a process of its own. It commands nothing: it calls what others offer."""

from __future__ import annotations

from pathlib import Path

from vgil_ros.assets import load_contract
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode, run
from vgil_ros.nodes.page.robot import PageLink
from vgil_ros.web.server import WebServer
from vgil_ros.web.settings import PORT, WebSettings
from vgil_ros.web.site import Site


class Web(VgilNode):
    """Serves the page of one robot."""

    def __init__(self) -> None:
        super().__init__("web")
        robot = self.declare("robot", "sim_aloha", doc=ROBOT_DOC)
        contract, _ = load_contract(robot)
        success_topic = self.declare("success_topic", "", doc="std_msgs/Bool: whether the task is done; empty: none")
        doc = "YAML file of node parameters for the policy that the page starts; empty: none"
        params_file = self.declare("params_file", "", doc=doc)
        settings = self._settings()
        self.link = PageLink(self, robot, contract, self._put, success_topic, params_file)
        self.site = Site(settings, self.link)
        self.server = WebServer(self.site)
        self.refuse_unknown_parameters()
        self.server.start()
        self.server.announce(self.log)

    def _put(self, camera: str, jpeg: bytes, stamp_ns: int, age_ms: float) -> None:
        self.site.hub.put(camera, jpeg, stamp_ns, age_ms)

    def _settings(self) -> WebSettings:
        doc = "address to listen on: 127.0.0.1 for this computer alone; 0.0.0.0 for the network, with a token"
        host = self.declare("host", "127.0.0.1", doc=doc)
        port = self.declare("port", PORT, low=0, high=65535, doc="to listen on; 0: a free one, which is said")
        folder = self.declare("dataset_dir", "episodes", doc="folder of the episodes to show")
        runs = self.declare("runs_dir", "runs", doc="folder of the training runs to show")
        doc = "what the link that operates carries, where the page is on the network; empty: made anew"
        operate = self.declare("operate_token", "", doc=doc)
        look = self.declare("look_token", "", doc="and the link that looks on only")
        names = self.declare("names", "", doc="further names of this page, with commas between: of a reverse proxy")
        return WebSettings(
            host,
            port,
            Path(folder).expanduser().absolute(),
            Path(runs).expanduser().absolute(),
            tuple(name.strip() for name in names.split(",") if name.strip()),
            operate,
            look,
        )

    def on_shutdown(self) -> None:
        """The policy that this page started holds and ends; browsers are sent home."""
        self.link.leave_nothing_running()
        self.server.stop()
        self.link.close()


def main() -> None:
    """Entry point of the executable `web`."""
    run(Web)


if __name__ == "__main__":
    main()
