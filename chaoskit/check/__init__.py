"""Static checks of an alert configuration, its promise and its scenarios: pure, no process, no network, no clock."""
