"""What holds for all tests."""

from hypothesis import settings

# How long an example takes is no matter of a test's; it depends on what else the machine does.
settings.register_profile(
    "timeless", settings.get_profile(settings.get_current_profile_name()), deadline=None
)
settings.load_profile("timeless")
