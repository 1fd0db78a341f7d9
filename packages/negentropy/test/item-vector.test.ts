import { createItemVector } from '../src/index.ts'
import { runItemSetTests } from './item-set-suite.ts'

runItemSetTests('an item vector', createItemVector)
