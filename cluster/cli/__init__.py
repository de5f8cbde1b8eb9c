"""The commands without a screen: plan, deploy, status, stop."""
