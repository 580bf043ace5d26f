"""Parts of the node `jog`: its devices, the recorder's keys beside them, and the panel in its terminal."""
