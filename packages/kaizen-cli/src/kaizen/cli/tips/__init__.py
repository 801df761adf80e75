"""`kaizen tips`: commands on tips: the short way to what people do most."""
