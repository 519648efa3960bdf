// The frame around the pages: signing in, navigation, connection, keyboard, errors.

import type { Text } from "./index";

export const SHELL = {
  "app.name": ["鹿城", "Lucheng"],
  "app.skip": ["跳到内容", "Skip to content"],
  "app.loading": ["正在加载…", "Loading…"],
  "app.none": ["—", "—"],

  "nav.label": ["页面", "Pages"],
  "nav.desk": ["接警台", "Alarms"],
  "nav.map": ["地图", "Map"],
  "nav.replay": ["回放", "Replay"],
  "nav.account": ["账户", "Account"],
  "nav.none": ["您的角色没有可用的页面。", "There is no page for your role."],

  "page.missing": ["没有这个页面。", "There is no such page."],
  "page.forbidden": ["您的角色（{role}）不能打开此页面。", "Your role ({role}) may not open this page."],
  "page.home": ["返回首页", "Back to the first page"],

  "login.title": ["登录", "Sign in"],
  "login.user": ["用户名", "User"],
  "login.password": ["密码", "Password"],
  "login.submit": ["登录", "Sign in"],
  "login.busy": ["正在登录…", "Signing in…"],
  "login.over": ["会话已结束，请重新登录。", "The session is over. Sign in again."],
  "login.purpose": [
    "本系统仅供授权人员使用，所有敏感读取均被审计。",
    "For authorised persons alone. Every sensitive read is audited.",
  ],
  "logout": ["退出", "Sign out"],

  "setup.title": ["首次设置", "First set-up"],
  "setup.intro": [
    "服务启动时在本机打印了一次性令牌，也保存在 keys/setup.token。用它建立第一个管理员账户。",
    "At its start the service printed a one-time token, also kept in keys/setup.token. It makes the first administrator's account.",
  ],
  "setup.token": ["一次性令牌", "One-time token"],
  "setup.repeat": ["再次输入密码", "Password again"],
  "setup.differ": ["两次输入的密码不同。", "The two passwords differ."],
  "setup.submit": ["建立管理员", "Make the administrator"],
  "setup.done": ["管理员已建立，请登录。", "The administrator is made. Sign in."],

  "account.until": ["会话有效至", "Signed in until"],
  "password.title": ["修改密码", "Change the password"],
  "password.old": ["当前密码", "Present password"],
  "password.new": ["新密码", "New password"],
  "password.submit": ["修改", "Change"],
  "password.done": ["密码已修改。", "The password is changed."],

  "link.open": ["已连接", "connected"],
  "link.connecting": ["正在连接…", "connecting…"],
  "link.waiting": ["连接已断开，正在重连（第 {n} 次）", "Connection lost, trying again ({n})"],
  "link.age": ["最近事件 {age} 前", "last event {age} ago"],
  "link.ago": ["{age}前", "{age} ago"],
  "link.never": ["尚无事件", "no event yet"],
  "link.banner": [
    "与服务的连接已断开。下面显示的是 {age} 前的情况，重连后不会遗漏警情。",
    "The connection to the service is lost. What is shown is {age} old; no alarm is missed once it is back.",
  ],
  "link.retry": ["立即重连", "Try now"],

  "prefs.toLight": ["切换为浅色", "Switch to light"],
  "prefs.toDark": ["切换为深色", "Switch to dark"],
  "prefs.toOther": ["English", "中文"],

  "time.s": ["{n} 秒", "{n} s"],
  "time.min": ["{n} 分", "{n} min"],
  "time.h": ["{n} 小时", "{n} h"],
  "time.d": ["{n} 天", "{n} d"],

  "keys.title": ["键盘", "Keyboard"],
  "keys.everywhere": ["任何页面", "Everywhere"],
  "keys.help": ["显示本页按键", "Show these keys"],
  "keys.command": ["命令行", "Command line"],
  "keys.escape": ["关闭、返回", "Close, go back"],

  "command.title": ["命令行", "Command line"],
  "command.hint": ["输入页面、警情编号、设备或动作", "A page, an alarm, a device or an action"],
  "command.empty": ["没有匹配的命令", "Nothing matches"],
  "command.go": ["打开：{page}", "Open: {page}"],
  "command.alarm": ["打开警情 {alarm}", "Open alarm {alarm}"],
  "command.follow": ["在地图上跟踪 {device}", "Follow {device} on the map"],
  "command.replay": ["回放 {device}", "Replay {device}"],
  "command.theme": ["切换深色／浅色", "Switch dark / light"],
  "command.language": ["切换语言", "Switch the language"],

  "do.close": ["关闭", "Close"],
  "do.cancel": ["取消", "Cancel"],
  "do.save": ["保存", "Save"],
  "do.retry": ["重试", "Try again"],

  "error.unreachable": ["服务没有应答", "The service does not answer"],
  "error.unreachable.mend": ["检查网络，或稍后重试。", "Check the network, or try again in a moment."],
  "error.other": ["出错了", "Something failed"],
  "error.wait": ["还须等待 {time}。", "Wait {time}."],
  "error.code": ["代码 {code}", "code {code}"],

  "purpose.title": ["查阅目的", "Purpose"],
  "purpose.intro": [
    "查阅历史轨迹与录像前须说明目的。目的会写入审计，并在查阅期间一直显示。",
    "Say why before history or recordings are opened. It goes into the audit and stays on the screen.",
  ],
  "purpose.code": ["类别", "Kind"],
  "purpose.ref": ["案件或警情编号", "Case or alarm"],
  "purpose.note": ["说明", "Note"],
  "purpose.shown": ["目的：{purpose}", "Purpose: {purpose}"],
  "purpose.change": ["更改", "Change"],
  "purpose.start": ["开始查阅", "Begin"],
  "purpose.needRef": ["此类别须填写编号。", "This kind needs a reference."],
} as const satisfies Record<string, Text>;
