"""The DDS transport: profiles and shared-memory segments."""
