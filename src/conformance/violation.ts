/** Where a violation of a standing obligation is reported, at the moment it is seen. */
export type ReportViolation = (checkId: string, explanation: string) => void;
