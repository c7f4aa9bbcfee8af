import type { Faults } from '../support/network-faults.ts'
import * as answers from '../support/remote-answers.ts'
import type { ScriptedRemote } from '../support/scripted-remote.ts'
import type { Misbehaviour, Trouble } from './plan.ts'

const DEVICES = { endpoint: 'devices' } as const

/**
 * Lets a scripted remote go wrong for so many requests, or until it behaves again.
 * @returns what it holds back, to be released when it behaves again
 */
export function misbehave(remote: ScriptedRemote, how: Misbehaviour, times: number): { release(): void } | undefined {
  const { status } = answers
  switch (how) {
    case 'down':
      remote.answerAlways({}, status(503))
      return undefined
    case 'limits':
      remote.answerNext({}, status(429, { retryAfter: 5 }), times)
      return undefined
    case 'limits for long':
      remote.answerNext({}, status(429, { retryAfterMs: 60_000 }))
      return undefined
    case 'garbage':
      remote.answerNext({}, answers.garbage, times)
      return undefined
    case 'wrong user':
      remote.answerNext(DEVICES, answers.wrongUser, times)
      return undefined
    case 'no stream_id':
      remote.answerNext(DEVICES, answers.noStreamId, times)
      return undefined
    case 'duplicate device':
      remote.answerNext(DEVICES, (normal, body) => twice(normal, body), times)
      return undefined
    case 'unknown user':
      remote.answerNext(DEVICES, status(404, { errcode: 'M_NOT_FOUND' }), times)
      return undefined
    case 'never answers':
      remote.answerNext({}, () => new Promise<never>(() => {}), times)
      return undefined
    case 'answers late':
      return remote.hang(DEVICES)
    case 'too large':
      remote.answerNext(DEVICES, answers.manyDevices(6_000), times)
      return undefined
  }
}

/** The first device twice, of a list that has one. */
const twice: Parameters<ScriptedRemote['answerNext']>[1] = (normal, body) => {
  const { devices = [] } = JSON.parse(normal.body.toString('utf8'))
  return devices.length > 0 ? answers.duplicateDevice(normal, body) : answers.garbage(normal, body)
}

/** The network's faults, of a trouble in a plan. */
export function faultsOf({ drop, hang, late, answerLate, arriveAgain, lose }: Trouble): Faults {
  return {
    ...(drop === undefined ? {} : { drop }),
    ...(hang === undefined ? {} : { hang }),
    ...(late === undefined ? {} : { delayMs: [0, late] }),
    ...(answerLate === undefined ? {} : { answerDelayMs: [0, answerLate] }),
    ...(arriveAgain === undefined ? {} : { duplicate: arriveAgain, duplicateDelayMs: [0, 60_000] }),
    ...(lose === undefined ? {} : { loseAnswer: lose }),
  }
}
