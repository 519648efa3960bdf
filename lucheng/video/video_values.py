"""What the running service says of its cameras, by name: the table behind the values, with their words. It measures nothing."""

from __future__ import annotations

from lucheng.video.clip_counts import COUNTS as BINDING
from model.camera import STATE_WORDS, CameraState
from model.codes import Word

#: Of the service itself: name, unit, words.
LINK: tuple[tuple[str, str, Word], ...] = (
    ("video_workers", "1", Word("video processes, now", "当前视频进程数")),
    ("video_worker_deaths", "1", Word("video processes that ended unasked", "异常退出的视频进程数")),
    ("camera_signals", "1", Word("signals and clears of cameras written", "已写入的摄像头信号数")),
    ("recording_segments", "1", Word("pieces of recordings entered", "已登记的录像分段数")),
    ("recording_segments_refused", "1", Word("… that could not be entered", "无法登记的录像分段数")),
    ("recording_bytes", "bytes", Word("of all recordings", "录像总字节数")),
    ("live_port", "1", Word("where the live view is served; 0: not", "实时预览端口；0 为未开启")),
    ("live_viewers", "1", Word("viewers, now", "当前观看人数")),
    ("live_feeds", "1", Word("cameras that are viewed, now", "当前被观看的摄像头数")),
    ("live_pieces", "1", Word("pieces of video that came for viewers", "收到的预览片段数")),
    ("live_skips", "1", Word("times that a slow viewer skipped to a keyframe", "慢观看者跳帧次数")),
    ("live_dropped", "1", Word("pieces that slow viewers did not get", "因慢观看者丢弃的片段数")),
    ("live_dropped_bytes", "bytes", Word("of those", "其字节数")),
    ("live_feeds_ended", "1", Word("views that the camera's side ended", "摄像头侧中断的预览数")),
    ("live_turned_away", "1", Word("viewers turned away for want of room", "因人数已满拒绝的观看者数")),
)
#: Of the workers, summed over them.
WORKERS: dict[str, Word] = {
    "load": Word("CPU seconds a second that video processes use", "视频进程每秒 CPU 用时"),
    "pictures_replaced": Word(
        "pictures that gave way to newer ones before they were looked at", "未及分析即被新帧替换的画面数"
    ),
    "live_dropped": Word("live pieces that the service took too slowly", "服务未及接收而丢弃的预览片段数"),
    "threads_hung": Word("threads that hang in a library, now", "当前卡死的线程数"),
    "threads_hung_total": Word("threads that were given up", "已放弃的线程数"),
    "recording_stopped": Word("video processes that cannot record now", "当前无法录像的进程数"),
    "recording_left_out": Word("packets that were not recorded", "未录制的数据包数"),
    "recording_written": Word("packets recorded", "已录制的数据包数"),
    "recording_failed": Word("pieces that could not be written", "写入失败的录像分段数"),
    "recording_segments": Word("pieces written", "已写入的录像分段数"),
    "recording_not_told": Word("pieces that could not be reported", "未能上报的录像分段数"),
    "detector_on": Word("detectors that take pictures, now", "当前可用的检测器数"),
    "detector_waiting": Word("pictures that wait for a detector, now", "等待检测的画面数"),
    "detector_offered": Word("pictures offered to detectors", "提交检测的画面数"),
    "detector_too_soon": Word("… too soon after the last of their camera", "间隔过短未检测的画面数"),
    "detector_replaced": Word("… that a newer one replaced", "被新画面替换的画面数"),
    "detector_gave_way": Word("… that gave way because too many waited", "因队列已满让出的画面数"),
    "detector_while_off": Word("… while the detector was off", "检测器停用期间的画面数"),
    "detector_no_picture": Word("… that were no pictures", "无效画面数"),
    "detector_forgotten": Word("… whose camera went away", "摄像头已离开的画面数"),
    "detector_looked": Word("… that were looked at", "已检测的画面数"),
    "detector_failed": Word("… that the detector could not take", "检测失败的画面数"),
    "detector_objects": Word("objects found", "检出的目标数"),
    "detector_result_errors": Word("results that could not be taken", "无法处理的检测结果数"),
    "detector_turned_off": Word("times that a detector was turned off", "检测器停用次数"),
}

#: All of them: name, unit, words.
VIDEO_VALUES: tuple[tuple[str, str, Word], ...] = (
    *LINK,
    *(
        (f"cameras_{state.value}", "1", Word(f"cameras: {STATE_WORDS[state].en}", f"摄像头：{STATE_WORDS[state].zh}"))
        for state in CameraState
    ),
    *((f"binding_{name}", "1", words) for name, words in BINDING.items()),
    *((f"video_{name}", "1", words) for name, words in WORKERS.items()),
)
