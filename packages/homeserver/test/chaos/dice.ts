import type { Random } from '../../src/platform/random.ts'

/** Choices by chance. */
export type Dice = {
  /** A number from 0 up to `limit`, without it. */
  upTo(limit: number): number
  one<T>(choices: readonly T[]): T
  /** Each of them with that chance, in their order. */
  some<T>(choices: readonly T[], chance: number): T[]
  /** One name, by weights. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name
}

export function createDice(random: Random): Dice {
  const upTo = (limit: number) => random.fraction() * limit
  return {
    upTo,
    one: (choices) => choices[Math.floor(upTo(choices.length))]!,
    some: (choices, chance) => choices.filter(() => upTo(1) < chance),
    weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
      const entries = Object.entries(weights) as [Name, number][]
      let left = upTo(entries.reduce((sum, [, weight]) => sum + weight, 0))
      for (const [name, weight] of entries) {
        left -= weight
        if (left < 0) return name
      }
      return entries.at(-1)![0]
    },
  }
}
