"""What the person who runs this has set, read and validated: the environment, `.env`, `operations.toml`."""

from wolkvox_assets.settings.environment import (
    NOTHING_SET,
    Settings,
    load_settings,
    read_lake,
    unknown_variables,
)
from wolkvox_assets.settings.operation import Operation, checked_name
from wolkvox_assets.settings.secrets import ENV_FILE, ConfigurationProblem, alert_webhook, read_token
from wolkvox_assets.store.lake.place import Lake

__all__ = [
    "ENV_FILE",
    "NOTHING_SET",
    "ConfigurationProblem",
    "Lake",
    "Operation",
    "Settings",
    "alert_webhook",
    "checked_name",
    "load_settings",
    "read_lake",
    "read_token",
    "unknown_variables",
]
