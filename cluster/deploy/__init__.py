"""Deployments: orders and statuses (pure), and the actors that keep a deployment running."""
