"""What a deployment is (pure), and the actors that keep it running."""
