"""What is known already: comparing, reconciling and consolidating tips."""
