"""What went wrong, as RFC 9457 has it: a stable code, its title and what to do next in the reader's language.

Invariants: every code that an answer can have is in `PROBLEMS`, with both languages; `detail` says what exactly, in the words of
the error; no error tells a secret, a path or a stack. The table is the contract: `docs/reference/problems.md` is made from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from console.live.texts import language_of
from model.codes import Word
from model.errors import AuditUnwritable, LuchengError, TryAgain, UsageError

MEDIA_TYPE = "application/problem+json"
#: What an error may say besides: who was first, the thing as it is, the request that waits for a second person.
EXTRAS = ("who", "current", "approval")
#: In the state of a request whose error says that nothing was done.
UNDONE_KEY = "undone"
_MAX_DETAIL_CHARS = 500


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One code: its HTTP status (0: the error's own), title, and what to do where the error does not say it."""

    status: int
    title: Word
    mend: Word


_AGAIN = Word("Try again in a moment.", "请稍后重试。")
_LOG = Word("See the service's log.", "请查看服务日志。")
_SIGN_IN = Word("Sign in.", "请登录。")
_ASK = Word("Ask somebody whose role it is.", "请由具备权限的人员操作。")
_CORRECT = Word("Correct what was given.", "请更正后重试。")

PROBLEMS: dict[str, ProblemKind] = {
    "error": ProblemKind(500, Word("The service failed", "服务出错"), _LOG),
    "usage": ProblemKind(422, Word("Something given is wrong", "请求内容有误"), _CORRECT),
    "settings": ProblemKind(422, Word("A setting is wrong", "设置有误"), Word("Correct the settings.", "请更正设置。")),
    "bad_input": ProblemKind(400, Word("A file or value is not what it says", "文件或数据格式有误"), _CORRECT),
    "not_found": ProblemKind(404, Word("There is no such thing", "未找到"), Word("Look at the list.", "请查看列表。")),
    "conflict": ProblemKind(
        409, Word("Somebody was first", "他人已先处理"), Word("Look at it as it is now.", "请查看当前状态后再操作。")
    ),
    "refused": ProblemKind(403, Word("That is not allowed", "不允许此操作"), _ASK),
    "try_again": ProblemKind(503, Word("Busy, or not there now", "服务繁忙或暂不可用"), _AGAIN),
    "series_away": ProblemKind(503, Word("The InfluxDB server is away", "InfluxDB 服务器离线"), _AGAIN),
    "series_denied": ProblemKind(
        503, Word("The InfluxDB server does not let the service in", "InfluxDB 服务器拒绝访问"), _LOG
    ),
    "series_moved": ProblemKind(500, Word("The series are not where they were", "时序数据位置已变更"), _LOG),
    "lines_refused": ProblemKind(500, Word("The InfluxDB server refused points", "InfluxDB 服务器拒绝写入"), _LOG),
    "stream_lost": ProblemKind(
        503,
        Word("The camera's stream broke off", "摄像头视频流中断"),
        Word("See how the camera is.", "请查看摄像头状态。"),
    ),
    "writer_locked": ProblemKind(503, Word("The data folder is in use", "数据目录被占用"), _AGAIN),
    "store": ProblemKind(500, Word("The store cannot go on", "存储故障"), _LOG),
    "corrupt": ProblemKind(
        500,
        Word("Stored data is damaged", "存储数据损坏"),
        Word("Run `lucheng store check`.", "请运行 lucheng store check。"),
    ),
    "fenced": ProblemKind(500, Word("Somebody newer holds it", "已由新的持有者接管"), _LOG),
    "schema_too_new": ProblemKind(500, Word("Data of a newer version", "数据由更新版本写入"), _LOG),
    "audit_unwritable": ProblemKind(
        500,
        Word("The audit cannot be written, so nothing was read or changed", "审计无法写入，未读取也未更改任何数据"),
        Word("Call whoever looks after the service.", "请联系系统维护人员。"),
    ),
    "not_signed_in": ProblemKind(401, Word("You are not signed in", "尚未登录"), _SIGN_IN),
    "wrong_password": ProblemKind(
        401, Word("The user or the password is wrong", "用户名或密码错误"), Word("Try again.", "请重新输入。")
    ),
    "locked": ProblemKind(
        429,
        Word("Too many wrong passwords", "密码错误次数过多"),
        Word("Wait, or let an administrator open the account.", "请等待，或由管理员解锁。"),
    ),
    "wrong_token": ProblemKind(
        403,
        Word("That is not the set-up token", "初始化令牌错误"),
        Word("`lucheng account setup-token` prints it.", "运行 lucheng account setup-token 查看令牌。"),
    ),
    "setup_done": ProblemKind(409, Word("The console has been set up", "系统已完成初始化"), _SIGN_IN),
    "approval_needed": ProblemKind(
        403,
        Word("That needs a second person's approval", "需要第二人审批"),
        Word("Ask for it, and wait until it is granted.", "请提交申请，获批后重试。"),
    ),
    "forbidden": ProblemKind(403, Word("That is not your role's", "当前角色无权操作"), _ASK),
    "purpose_needed": ProblemKind(
        422,
        Word("It is not said why", "未说明查阅目的"),
        Word("Add `purpose=code:ref:note`.", "请填写查阅目的（purpose=代码:编号:备注）。"),
    ),
    "foreign_origin": ProblemKind(
        403,
        Word("Another site's page asks for this", "请求来自其他网站"),
        Word("Use the console's own pages.", "请使用本系统页面。"),
    ),
    "wrong_host": ProblemKind(
        421,
        Word("The console is not reached by this name", "不能以该地址访问"),
        Word("Use its own address, or set web.origins.", "请使用正确地址，或设置 web.origins。"),
    ),
    "header_too_large": ProblemKind(431, Word("The request's head is too large", "请求头过大"), _CORRECT),
    "address_too_long": ProblemKind(414, Word("The address is too long", "请求地址过长"), _CORRECT),
    "body_too_large": ProblemKind(413, Word("The body is too large", "请求体过大"), Word("Send less.", "请减小内容。")),
    "body_too_slow": ProblemKind(408, Word("The body came too slowly", "请求体接收超时"), _AGAIN),
    "method": ProblemKind(405, Word("That cannot be done here", "不支持的请求方法"), _CORRECT),
    "media_type": ProblemKind(415, Word("The body is of another kind", "请求体类型不符"), _CORRECT),
    "key_reused": ProblemKind(
        422,
        Word("The key was used for another change", "幂等键已用于其他操作"),
        Word("Make a new key for each change.", "每次操作请使用新的幂等键。"),
    ),
    "under_way": ProblemKind(409, Word("The same change is under way", "相同操作正在进行"), _AGAIN),
    "outcome_unknown": ProblemKind(
        409,
        Word("It is not known whether the change was made", "无法确定操作是否已完成"),
        Word("Look first, then decide whether to do it again.", "请先查看当前状态，再决定是否重做。"),
    ),
    "answered_once": ProblemKind(
        409,
        Word("The change was made, and its answer is given once only", "操作已完成，其结果只给出一次"),
        Word("Look at the thing, or ask for a new one.", "请查看当前状态，或重新申请。"),
    ),
}


class WebProblem(LuchengError):
    """A problem of the server itself, by its code; `detail` in plain words, "" where the title says all."""

    def __init__(self, code: str, detail: str = "", *, mend: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(detail, mend=mend)
        self.kind = PROBLEMS[code]
        self.problem = code
        self.headers = headers or {}


def language(scope: Scope) -> str:
    """`zh` or `en`, as the reader wants it."""
    return language_of("", Headers(scope=scope).get("accept-language", ""))


def problem_answer(scope: Scope, error: Exception) -> Response:
    """The answer for an error, whatever it is; the request's state says where it tells that nothing was done."""
    scope.setdefault("state", {})[UNDONE_KEY] = isinstance(error, _UNDONE)
    code, status, detail, mend, headers = _told(error)
    kind = PROBLEMS.get(code, PROBLEMS["error"])
    zh = language(scope) == "zh"
    body: dict[str, Any] = {
        "type": f"urn:lucheng:problem:{code}",
        "code": code,
        "title": kind.title.zh if zh else kind.title.en,
        "detail": detail[:_MAX_DETAIL_CHARS],
        "mend": kind.mend.zh if zh else mend or kind.mend.en,
        "status": status,
    }
    for name in EXTRAS:
        value = getattr(error, name, None)
        if value not in (None, ""):
            body[name] = value
    answer = Response(msgspec.json.encode(body), status, headers, MEDIA_TYPE)
    answer.headers["content-language"] = "zh-CN" if zh else "en"
    return answer


#: Nothing was changed, and the same request may succeed later or when it is corrected.
_UNDONE = (WebProblem, UsageError, TryAgain, AuditUnwritable, RequestValidationError, HTTPException)


def _told(error: Exception) -> tuple[str, int, str, str, dict[str, str]]:
    """Code, status, detail, what to do, headers."""
    if isinstance(error, WebProblem):
        return error.problem, error.kind.status, error.message, error.mend, error.headers
    if isinstance(error, LuchengError):
        headers = {"retry-after": "1"} if error.http_status == 503 else {}
        # one that has no words here is what it is a kind of
        code = next(code for kind in type(error).__mro__ if (code := vars(kind).get("code", "")) in PROBLEMS)
        return code, error.http_status, error.message, error.mend, headers
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or "the body"
        return "usage", 422, f"{place}: {first['msg']}.", "", {}
    if isinstance(error, HTTPException):
        code = {404: "not_found", 405: "method", 415: "media_type", 413: "body_too_large"}.get(
            error.status_code, "usage"
        )
        return code, error.status_code, "", "", {}
    return "error", 500, f"The service failed: {type(error).__name__}.", "", {}
