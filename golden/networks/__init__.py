"""The networks that golden/models.py makes packages of: small, with random weights, of the kinds that are in use."""
