"""Which containers exist: endpoint, client, discovery."""
