"""The gateway of terminals that speak JT/T 808, JT/T 905 or GT06 over sockets of their own."""
