"""How pictures come in: addresses, connections, the packet ring, clips, fragments, decoding. It judges no picture."""
