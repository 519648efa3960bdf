// What the service says when it does not do what it was asked: RFC 9457, with a stable code and what to do next.

export interface ProblemBody {
  code: string;
  title: string;
  detail: string;
  mend: string;
  status: number;
  who?: string;
  current?: unknown;
  approval?: string;
}

export class Problem extends Error {
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly mend: string;
  readonly status: number;
  /** Who was first, where two wanted the same. */
  readonly who: string;
  /** The thing as it is now, where the change was decided on an older version. */
  readonly current: unknown;
  /** The request that waits for a second person, where there is one. */
  readonly approval: string;
  /** Seconds after which it is worth another try, where the service says so; 0: it does not. */
  readonly waitS: number;

  constructor(body: Partial<ProblemBody> & { status: number }, waitS = 0) {
    super(body.title || body.detail || body.code || String(body.status));
    this.name = "Problem";
    this.code = body.code ?? "error";
    this.title = body.title ?? "";
    this.detail = body.detail ?? "";
    this.mend = body.mend ?? "";
    this.status = body.status;
    this.who = body.who ?? "";
    this.current = body.current;
    this.approval = body.approval ?? "";
    this.waitS = waitS;
  }
}

/** The service was not reached: no answer at all. */
export const UNREACHABLE = "unreachable";

export async function problemOf(answer: Response): Promise<Problem> {
  const text = await answer.text().catch(() => "");
  try {
    const body = JSON.parse(text) as Partial<ProblemBody>;
    return new Problem({ ...body, status: answer.status }, Number(answer.headers.get("retry-after")) || 0);
  } catch {
    return new Problem({ status: answer.status, code: "error", title: `${answer.status} ${answer.statusText}` });
  }
}
