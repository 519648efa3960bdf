"""MQTT: packets out of the socket in batches, one supervised connection per kind of traffic."""
