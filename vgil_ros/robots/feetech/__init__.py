"""Arms on Feetech's serial bus (SO-100, SO-101): codec, registers, calibration, bus, bring-up, goals and health."""
