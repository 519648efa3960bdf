"""Why a gate or a policy is as it is, in both languages."""

from __future__ import annotations

from model.codes import Word

FEW_EVENTS = Word(
    "too little motion seen yet to know what packet sizes say", "画面变化样本不足，尚不能判断码流大小能否反映"
)
FEW_QUIET = Word(
    "too little quiet seen yet to know what packet sizes say", "静止画面样本不足，尚不能判断码流大小能否反映"
)
SEPARATES = Word("packet sizes tell a still scene from a moving one", "码流大小能区分静止与变化")
NOT_SEPARATE = Word(
    "packet sizes say nothing of motion (a constant bitrate?)", "码流大小不反映画面变化（可能为恒定码率）"
)
MISSED = Word("packet sizes missed too much motion", "码流大小漏报画面变化过多")

OFF_BY_SETTING = Word("switched off by the setting", "按设置关闭解码")
BY_SETTING = Word("as set", "按设置")
MASKED = Word("masks are burned into every picture", "需对每帧烧录隐私遮挡")
DEMANDED = Word("an alarm or a person wants pictures now", "警情或人员正在调阅")
NOT_DEMANDED = Word("decoded when it is wanted", "按需解码，目前无人调阅")
NO_SUBSTREAM = Word("there is no sub-stream: keyframes instead", "没有子码流，改用关键帧")
SHORT_GAP = Word("keyframes come often enough", "关键帧间隔足够短")
LONG_GAP = Word("keyframes come too seldom", "关键帧间隔过长")
LONG_GAP_LOAD = Word("keyframes come too seldom, and the load allows no more", "关键帧间隔过长，但负载不允许解码更多")
TRACKING = Word("objects are followed", "需跟踪目标")
TRACKING_LOAD = Word("objects should be followed; the load allows keyframes alone", "应跟踪目标，但负载只允许关键帧")
STILL_GATE = Word("the scene is still and packet sizes watch it", "画面静止，由码流大小监视")
STILL_LOAD = Word("the scene is still and the load is high: every few seconds", "画面静止且负载高，降低检查频率")
STIRS = Word("packet sizes say that the scene stirs", "码流大小提示画面有变化")
AUDIT = Word("looking closely for a while, to know what packet sizes miss", "抽样细查，以核对码流大小的漏报")
