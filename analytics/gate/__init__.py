"""How little of a camera may be decoded: the gate on packet sizes and the policy over it. Pure.

`PacketGate` hears the size of every packet and says when the scene stirs; it calibrates itself on decoded pictures and
switches itself off where sizes say nothing. `DecodePlanner` says of each packet whether it is decoded.

How the thread of a camera uses it, for each packet, after the packet is in the ring:

    action = planner.decide(len(packet.data), keyframe=packet.keyframe, time_ms=packet.time_ms, corrupt=packet.corrupt)
    SKIP      nothing.
    KEYFRAME  decode this packet alone: flush the decoder, send it, drain it.
    CATCH_UP  flush the decoder; decode everything from the ring's last keyframe up to and with this packet; the picture
              of this packet is what analysis sees.
    ALL       send this packet to the decoder, which has had everything since the last keyframe.

The sub-stream, where `planner.wants_substream` says it is wanted, goes through `decide_sub` in the same way. `on_open` of
either stream calls `reset()` or `reset_sub()` when its parameters are not those from before, else `interrupted()`.

Analysis tells what decoded pictures showed: `planner.saw(time_ms, moved=…, still=…, share=…)` (columns `moving`,
`still` and `motion_px` over the pixels of a `SceneStep`), for each picture it stepped, from
any thread. Whoever knows the load of the process sets `planner.load`; whoever wants pictures now (an alarm, a viewer)
calls `planner.demand(until_ms)`. Both from any thread. `planner.status` is what people are shown.
"""

from analytics.gate.limits import GateLimits, PlanLimits
from analytics.gate.packet_gate import GateStatus, PacketGate
from analytics.gate.planner import Decode, DecodePlanner, PlanStatus, follows_objects

__all__ = [
    "Decode",
    "DecodePlanner",
    "GateLimits",
    "GateStatus",
    "PacketGate",
    "PlanLimits",
    "PlanStatus",
    "follows_objects",
]
