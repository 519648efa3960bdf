"""What a machine that shares cameras says of itself, by name, besides `lucheng.video.video_values`. It measures nothing."""

from __future__ import annotations

from model.codes import Word

SHARING_VALUES: tuple[tuple[str, str, Word], ...] = (
    ("video_shares", "1", Word("shares of cameras that this machine has, now", "本机当前持有的摄像头份数")),
    ("video_shares_taken", "1", Word("shares taken", "领取的份数")),
    ("video_shares_given", "1", Word("shares given to machines that had less", "让给他机的份数")),
    (
        "video_shares_lost",
        "1",
        Word("shares let go because the servers did not hear this machine", "因失联而放弃的份数"),
    ),
    ("video_cameras_waiting", "1", Word("cameras that wait to be opened, now", "等待打开的摄像头数")),
    (
        "video_cameras_no_room",
        "1",
        Word("cameras that this machine has no room for, now", "本机容量不足未打开的摄像头数"),
    ),
    (
        "camera_signals_left_out",
        "1",
        Word("signals not told because another machine has the camera", "因摄像头已移交而未发的信号数"),
    ),
    ("video_asks_begun", "1", Word("clips and snapshots that desks asked for, begun", "开始制作的片段与截图数")),
    ("video_asks_told", "1", Word("… made and told, or said why not", "已答复的片段与截图数")),
    ("video_asks_again", "1", Word("… tried again because a camera or worker was away", "因故重试的次数")),
    ("video_views", "1", Word("live views that are sent to desks, now", "正发往指挥台的实时预览数")),
)
