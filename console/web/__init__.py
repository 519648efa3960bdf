"""The console on TCP: what its pages ask for, and the pages."""
