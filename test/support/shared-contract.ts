import { Contract } from './contract.js';

/** Shared by all test files of a process: each schema compiles when it is first needed, and that takes a while. */
export const contract = new Contract();
