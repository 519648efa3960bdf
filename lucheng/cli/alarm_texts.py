"""Texts of the commands `alarm`, `unit` and `ebike`, in both languages; `texts.TEXTS` holds them with all others."""

from __future__ import annotations

from lucheng.cli.approval_texts import APPROVAL_STATE_WORDS
from model.alarm import OUTCOME_WORDS, WORK_WORDS
from model.codes import ALARM_BY_NAME, Word
from model.command import STATE_WORDS as COMMAND_STATE_WORDS
from model.desk import CASE_STATE_WORDS, UNIT_STATE_WORDS

#: Severity by shape and letter, never by colour alone.
SEVERITY_MARKS = {1: "▲A", 2: "◆B", 3: "●C"}

#: What happened to an alarm, by the action of its event.
ACTION_WORDS: dict[str, Word] = {
    "raise": Word("raised", "新警情"),
    "signal": Word("rings again", "再次报警"),
    "clear": Word("cause gone", "警因消除"),
    "show": Word("shown", "已上屏"),
    "acknowledge": Word("acknowledged", "接警"),
    "hand_over": Word("handed over", "移交他人"),
    "dispatch": Word("unit sent", "派警"),
    "arrive": Word("unit on scene", "到场"),
    "resolve": Word("resolved", "处置完毕"),
    "settle": Word("resolved by itself", "自行恢复"),
    "close": Word("closed", "结案"),
    "shelve": Word("shelved", "搁置"),
    "suppress": Word("suppressed", "抑制"),
    "restore": Word("back in sight", "恢复显示"),
    "escalate": Word("escalated", "升级"),
    "breach": Word("300 seconds over", "超过 300 秒"),
    "unit": Word("unit changed", "警力变更"),
}
#: Words for a value, by the key under which rows have it.
VALUE_WORDS: dict[str, dict[str, Word]] = {
    "kind": {name: kind.words for name, kind in ALARM_BY_NAME.items()},
    "work": {work.value: words for work, words in WORK_WORDS.items()},
    "outcome": {outcome.value: words for outcome, words in OUTCOME_WORDS.items()},
    "unit_state": {state.value: words for state, words in UNIT_STATE_WORDS.items()},
    "case_state": {state.value: words for state, words in CASE_STATE_WORDS.items()},
    "command_state": {state.value: words for state, words in COMMAND_STATE_WORDS.items()},
    "approval_state": APPROVAL_STATE_WORDS,
    "action": ACTION_WORDS,
}

ALARM_TEXTS: dict[str, Word] = {
    "panel.alarms": Word("Alarms", "警情"),
    "alarm": Word("Alarms: list, watch, acknowledge, dispatch, close.", "警情：列表、实时、接警、派警、结案。"),
    "alarm.list": Word("The alarms that wait, the most urgent first.", "待处理警情，最紧急在前。"),
    "alarm.show": Word(
        "One alarm with its signals, history, clocks and surroundings.", "查看一条警情：信号、经过、用时与周边。"
    ),
    "alarm.watch": Word(
        "Every change of every alarm as it happens, a line each; survives a restart of the service; Ctrl-C ends it.",
        "实时显示所有警情变化，每行一条；服务重启后自动续传；Ctrl-C 结束。",
    ),
    "alarm.ack": Word("Take an alarm.", "接警。"),
    "alarm.hand_over": Word("Give an alarm to another operator.", "将警情移交给另一值班员。"),
    "alarm.dispatch": Word("Send a unit.", "派警。"),
    "alarm.arrive": Word("The unit is on scene: the 300-second clock stops.", "警力到场：300 秒计时停止。"),
    "alarm.resolve": Word("Say how it ended.", "登记处置结果。"),
    "alarm.close": Word(
        "Review it and put it away; with a reason while its cause still holds.", "复核结案；警因未消除时须说明理由。"
    ),
    "alarm.shelve": Word("Put an alarm out of sight for a while, with a reason.", "暂时搁置警情，须说明理由。"),
    "alarm.restore": Word("Bring an alarm back in sight.", "恢复显示警情。"),
    "alarm.seats": Word(
        "Who sits at the desk now, and the load for each seat (EEMUA 191).", "当前在席人员与每席位负荷（EEMUA 191）。"
    ),
    "alarm.figures": Word(
        "Load, times to act, floods and the noisiest devices, by hour or day.",
        "按小时或天统计负荷、时效、警情潮与最吵设备。",
    ),
    "alarm.by": Word("hour (8 days at most) or day (92 at most).", "hour（至多 8 天）或 day（至多 92 天）。"),
    "alarm.stats": Word("How the desk is doing: load, flood, clocks.", "指挥台状况：负荷、警情潮、用时。"),
    "alarm.id": Word("Id of the alarm, or its unique beginning.", "警情编号，或其唯一的开头部分。"),
    "alarm.version": Word(
        "Only if the alarm still has this version; else it is said who was first.",
        "仅当警情仍为该版本时执行；否则告知谁先处理。",
    ),
    "alarm.kind": Word("Only this kind, e.g. one_key.", "仅此类型，如 one_key。"),
    "alarm.area": Word("Only in this jurisdiction and those below it.", "仅此辖区及其下级。"),
    "alarm.severity": Word("This severity or higher: 1 is the highest.", "此级别及以上，1 为最高。"),
    "alarm.work": Word("Only in this state: new, acknowledged, …", "仅此状态：new、acknowledged 等。"),
    "alarm.since": Word("Received since this time, written as --from.", "此时间之后收到，写法同 --from。"),
    "alarm.all": Word(
        "Also those closed, shelved or suppressed, and nothing folded.", "含已结案、搁置、抑制的，且不折叠。"
    ),
    "alarm.after": Word(
        "Begin after this event's number; default: what is to come.", "从该事件编号之后开始；默认只看新事件。"
    ),
    "alarm.unit": Word("The patrol unit, e.g. unit/12.", "巡逻单位，如 unit/12。"),
    "alarm.eta": Word("Minutes until it means to be there.", "预计多少分钟到达。"),
    "alarm.to": Word("The operator who takes it on.", "接手的值班员。"),
    "alarm.outcome": Word(
        "real, false, test, duplicate, unfounded or transferred.",
        "real、false、test、duplicate、unfounded 或 transferred。",
    ),
    "alarm.reason": Word("Why.", "理由。"),
    "alarm.until": Word("Until this time, written as --from.", "直到此时间，写法同 --from。"),
    "alarm.minutes": Word("For so many minutes.", "搁置多少分钟。"),
    "alarm.left": Word("{seconds} s", "{seconds} 秒"),
    "alarm.over": Word("over by {seconds} s", "超时 {seconds} 秒"),
    "alarm.did": Word("{alarm}: {work}, version {version} {left}", "{alarm}：{work}，版本 {version} {left}"),
    "alarm.folded": Word("+{count} like it", "另有 {count} 条同类"),
    "alarm.signals": Word("Signals", "信号"),
    "alarm.history": Word("History", "经过"),
    "alarm.context": Word("Surroundings", "周边"),
    "alarm.jurisdiction": Word("Jurisdiction", "辖区"),
    "alarm.cameras": Word("Nearest cameras", "最近摄像机"),
    "alarm.units": Word("Nearest free units", "最近空闲警力"),
    "alarm.levels": Word("Units by line of defence", "各圈层警力"),
    "alarm.posts": Word("Posts on the next line outward", "外侧下一圈卡点"),
    "alarm.load": Word(
        "{count} alarms in the last 10 minutes; one operator can take {limit} (EEMUA 191).",
        "最近 10 分钟 {count} 条警情；单席可承受 {limit} 条（EEMUA 191）。",
    ),
    "alarm.flood": Word("FLOOD: alarms of one kind and area are folded.", "警情潮：同类同区警情已折叠。"),
    "alarm.open": Word("Open: {open} ({marks}); {work}", "未结：{open}（{marks}）；{work}"),
    "alarm.breached": Word(
        "300-second clock: {breached} ran over. Late signals: {late}.",
        "300 秒时限：超时 {breached} 条。迟到信号：{late} 条。",
    ),
    "alarm.gone": Word(
        "the service is away; watching goes on after number {number} when it is back",
        "服务中断；恢复后从编号 {number} 续传",
    ),
    "alarm.back": Word("the service is back", "服务已恢复"),
    "alarm.no_place": Word("place hidden: the owner has not reported it stolen", "位置保密：车主未报失"),
    "unit": Word("Patrol units.", "巡逻单位。"),
    "unit.list": Word("The units: level, state, alarm.", "单位列表：圈层、状态、警情。"),
    "unit.set": Word("Set a unit's level or state.", "设置单位的圈层或状态。"),
    "unit.level": Word(
        "Line of defence on which it drives: 1 (inner) to 3 (outer), 0 none.", "巡逻圈层：1（内）至 3（外），0 为无。"
    ),
    "unit.state": Word("free, on_the_way, on_scene or off_duty.", "free、on_the_way、on_scene 或 off_duty。"),
    "ebike": Word("Stolen e-bikes: report, recover, cases.", "被盗电动车：报案、找回、案件。"),
    "ebike.report": Word("The owner reports an e-bike stolen: a case opens.", "车主报失：立案。"),
    "ebike.ref": Word("Reference of the owner's report.", "车主报案编号。"),
    "ebike.note": Word("A note for the case.", "案件备注。"),
    "ebike.recover": Word("The e-bike is found.", "车辆已找回。"),
    "ebike.which": Word("The case, e.g. C2026-000001, or the e-bike.", "案件编号（如 C2026-000001）或车辆编号。"),
    "ebike.case": Word("The open cases; or one case, shown or moved on.", "未结案件；或查看、推进一个案件。"),
    "ebike.case_id": Word("The case; none: all open ones.", "案件编号；不写则列出全部未结案件。"),
    "ebike.step": Word(
        "Move it on: stolen (confirmed), tracked, recovered or closed.",
        "推进：stolen（确认被盗）、tracked、recovered 或 closed。",
    ),
    "ebike.all": Word("Closed ones, too.", "含已结案。"),
    "ebike.hand_over": Word("Give a case to an officer.", "将案件移交给民警。"),
    "ebike.officer": Word("User name of the officer.", "民警的用户名。"),
    "ebike.handed": Word("{to} has {case} now.", "{case} 已移交给 {to}。"),
    "ebike.officers": Word("The officers whom a case can be given to.", "可接收案件的民警。"),
    "ebike.places": Word(
        "The last places of a case's e-bike; the case is the purpose.", "案件车辆的最近位置；以该案件为查阅目的。"
    ),
    "ebike.hours": Word("Of so many hours before the newest.", "最新位置之前的小时数。"),
    "ebike.did": Word("{case} of {device}: {state}", "{case}（{device}）：{state}"),
    "ebike.purpose": Word("Its place is shown with --purpose case:{case}", "查看位置请用 --purpose case:{case}"),
}
