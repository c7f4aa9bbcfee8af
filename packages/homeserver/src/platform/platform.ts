import type { Clock } from './clock.ts'
import type { Logger } from './logger.ts'
import type { Network } from './network.ts'
import type { Random } from './random.ts'

/** Everything that comes from outside of the program: time, chance, the network, and where the log goes. */
export type Platform = { clock: Clock; random: Random; network: Network; log: Logger }
