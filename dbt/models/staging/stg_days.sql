{{ revisions_of(['bars']) }}
