"""The other workers of the same deployment, on this machine or another: asked and told through Redis."""
