"""`vgil preflight`: go or no-go before a policy moves a robot."""
