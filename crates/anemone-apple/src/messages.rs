//! The message table: each message that is ever sent, written once.
//!
//! Encodings come from the bindings of the `tmc/apple` project, which were generated from a running system, and from
//! call sites of working programs. Each row says how sure it is; none was seen on hardware by this project yet. When
//! the framework is opened, [`Framework`](crate::Framework) compares every row with the running system.
//!
//! ```
//! use anemone_apple::messages::{CLASSES, MESSAGES};
//! let row = MESSAGES.iter().find(|row| row.selector == c"inMemoryModelWithDescriptor:").unwrap();
//! assert_eq!((CLASSES[row.class].name, row.to_class), (c"_ANEInMemoryModel", true));
//! ```

use std::ffi::{c_char, c_void};

use crate::abi::{Bool, Class, Id, SurfaceRef};
use crate::encoding::{BlockRef, of_method};
use crate::message::{ClassRef, ClassRow, Confidence, Feature, Message, Row};

macro_rules! to_class {
    (+) => {
        true
    };
    (-) => {
        false
    };
}

macro_rules! table {
    ($( $class:ident $class_name:literal {
        $( $sign:tt $message:ident $selector:literal ($($argument:ty),*) -> $result:ty, $feature:ident $confidence:ident; )*
    } )*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum ClassIndex { $($class),* }
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum MessageIndex { $($( $message, )*)* }

        $( #[allow(dead_code, reason = "of some classes only the objects receive messages")]
        pub(crate) const $class: ClassRef = ClassRef(ClassIndex::$class as usize); )*
        $($(
            pub(crate) const $message: Message<($($argument,)*), $result> =
                Message::new(MessageIndex::$message as usize);
        )*)*

        /// Every class to which a message is sent, or an object of which receives one.
        pub static CLASSES: &[ClassRow] = &[$( ClassRow { name: $class_name } ),*];

        /// Every message.
        pub static MESSAGES: &[Row] = &[$($( Row {
            class: ClassIndex::$class as usize,
            to_class: to_class!($sign),
            selector: $selector,
            encoding: of_method::<($($argument,)*), $result>,
            feature: Feature::$feature,
            confidence: Confidence::$confidence,
        }, )*)*];
    };
}

table! {
    NS_OBJECT c"NSObject" {
        - IS_KIND_OF_CLASS c"isKindOfClass:" (Class) -> Bool, Core Documented;
    }
    NS_STRING c"NSString" {
        + STRING_WITH_UTF8 c"stringWithUTF8String:" (*const c_char) -> Id, Core Documented;
        - UTF8_STRING c"UTF8String" () -> *const c_char, Core Documented;
    }
    NS_DATA c"NSData" {
        + DATA_WITH_BYTES c"dataWithBytes:length:" (*const c_void, u64) -> Id, Core Documented;
        - DATA_BYTES c"bytes" () -> *const c_void, Core Documented;
        - DATA_LENGTH c"length" () -> u64, Core Documented;
    }
    NS_NUMBER c"NSNumber" {
        + NUMBER_WITH_BOOL c"numberWithBool:" (Bool) -> Id, Core Documented;
        + NUMBER_WITH_U64 c"numberWithUnsignedLongLong:" (u64) -> Id, Core Documented;
        - NUMBER_I64 c"longLongValue" () -> i64, Core Documented;
    }
    NS_ARRAY c"NSArray" {
        + ARRAY_WITH_OBJECTS c"arrayWithObjects:count:" (*const Id, u64) -> Id, Core Documented;
        - ARRAY_COUNT c"count" () -> u64, Core Documented;
        - ARRAY_OBJECT_AT c"objectAtIndex:" (u64) -> Id, Core Documented;
    }
    NS_DICTIONARY c"NSDictionary" {
        + DICTIONARY_WITH_OBJECTS c"dictionaryWithObjects:forKeys:count:" (*const Id, *const Id, u64) -> Id, Core Documented;
        - DICTIONARY_OBJECT_FOR_KEY c"objectForKey:" (Id) -> Id, Core Documented;
        - DICTIONARY_ALL_KEYS c"allKeys" () -> Id, Core Documented;
    }
    NS_MUTABLE_DICTIONARY c"NSMutableDictionary" {
        + MUTABLE_DICTIONARY c"dictionary" () -> Id, SessionHints Documented;
    }
    NS_INDEX_SET c"NSIndexSet" {
        - INDEX_SET_CONTAINS c"containsIndex:" (u64) -> Bool, Package Documented;
    }
    NS_URL c"NSURL" {
        + FILE_URL_WITH_PATH c"fileURLWithPath:" (Id) -> Id, Package Documented;
    }
    NS_UUID c"NSUUID" {
        - UUID_STRING c"UUIDString" () -> Id, Diagnostics Documented;
    }
    NS_ERROR c"NSError" {
        - ERROR_DOMAIN c"domain" () -> Id, Core Documented;
        - ERROR_CODE c"code" () -> i64, Core Documented;
        - ERROR_DESCRIPTION c"localizedDescription" () -> Id, Core Documented;
    }
    IN_MEMORY_MODEL_DESCRIPTOR c"_ANEInMemoryModelDescriptor" {
        + MODEL_WITH_MIL_TEXT c"modelWithMILText:weights:optionsPlist:" (Id, Id, Id) -> Id, Core High;
    }
    IN_MEMORY_MODEL c"_ANEInMemoryModel" {
        + IN_MEMORY_MODEL_WITH_DESCRIPTOR c"inMemoryModelWithDescriptor:" (Id) -> Id, Core High;
        - HEX_STRING_IDENTIFIER c"hexStringIdentifier" () -> Id, Core High;
        - LOCAL_MODEL_PATH c"localModelPath" () -> Id, Core Medium;
        - COMPILE c"compileWithQoS:options:error:" (u32, Id, *mut Id) -> Bool, Core High;
        - LOAD c"loadWithQoS:options:error:" (u32, Id, *mut Id) -> Bool, Core High;
        - EVALUATE c"evaluateWithQoS:options:request:error:" (u32, Id, Id, *mut Id) -> Bool, Core High;
        - UNLOAD c"unloadWithQoS:error:" (u32, *mut Id) -> Bool, Core High;
        - INNER_MODEL c"model" () -> Id, Core High;
        - COMPILED_MODEL_EXISTS c"compiledModelExists" () -> Bool, Cache High;
        - PURGE_COMPILED_MODEL c"purgeCompiledModel" () -> (), Cache Medium;
        - MAP_IO_SURFACES c"mapIOSurfacesWithRequest:cacheInference:error:" (Id, Bool, *mut Id) -> Bool, Mapping High;
        - UNMAP_IO_SURFACES c"unmapIOSurfacesWithRequest:" (Id) -> (), Mapping High;
        - SET_PERF_STATS_MASK c"setPerfStatsMask:" (u32) -> (), PerformanceStats High;
        - PERF_STATS_MASK c"perfStatsMask" () -> u32, PerformanceStats High;
        - SET_QUEUE_DEPTH c"setQueueDepth:" (i8) -> (), Diagnostics High;
        - QUEUE_DEPTH c"queueDepth" () -> i8, Diagnostics High;
        - STATE c"state" () -> u64, Diagnostics Medium;
        - PROGRAM_HANDLE c"programHandle" () -> u64, Diagnostics High;
        - PROGRAM c"program" () -> Id, ProcessRequest High;
    }
    MODEL c"_ANEModel" {
        + MODEL_AT_URL c"modelAtURL:key:" (Id, Id) -> Id, Package High;
        + MODEL_AT_URL_WITH_ATTRIBUTES c"modelAtURL:key:modelAttributes:" (Id, Id, Id) -> Id, Instances Medium;
        - MODEL_URL c"modelURL" () -> Id, Instances Medium;
        - MODEL_KEY c"key" () -> Id, Instances Medium;
        - MODEL_CACHE_IDENTIFIER c"getCacheURLIdentifier" () -> Id, Instances Low;
        - MODEL_UUID c"getUUID" () -> Id, Diagnostics High;
        - MODEL_MAPPER c"mapper" () -> Id, Diagnostics High;
        - INTERMEDIATE_BUFFER_HANDLE c"intermediateBufferHandle" () -> u64, ProgramParts Medium;
        - MODEL_ATTRIBUTES c"modelAttributes" () -> Id, Core High;
        - INPUT_SYMBOL_INDICES c"inputSymbolIndicesForProcedureIndex:" (u32) -> Id, Package Medium;
        - OUTPUT_SYMBOL_INDICES c"outputSymbolIndicesForProcedureIndex:" (u32) -> Id, Package Medium;
        - MODEL_SET_PERF_STATS_MASK c"setPerfStatsMask:" (u32) -> (), PerformanceStats High;
        - MODEL_QUEUE_DEPTH c"queueDepth" () -> i8, Diagnostics High;
        - MODEL_STATE c"state" () -> u64, Diagnostics Medium;
        - MODEL_PROGRAM_HANDLE c"programHandle" () -> u64, Diagnostics High;
        - MODEL_PROGRAM c"program" () -> Id, ProcessRequest High;
    }
    CLIENT c"_ANEClient" {
        + SHARED_CONNECTION c"sharedConnection" () -> Id, Core High;
        + SHARED_PRIVATE_CONNECTION c"sharedPrivateConnection" () -> Id, RestrictedAccess Medium;
        + ALLOC_CLIENT c"alloc" () -> Id, RestrictedAccess Documented;
        - INIT_WITH_RESTRICTED_ACCESS c"initWithRestrictedAccessAllowed:" (Bool) -> Id, RestrictedAccess High;
        + NEW_CLIENT c"new" () -> Id, RestrictedAccess Documented;
        - ALLOW_RESTRICTED_ACCESS c"allowRestrictedAccess" () -> Bool, RestrictedAccess Medium;
        - CLIENT_COMPILE c"compileModel:options:qos:error:" (Id, Id, u32, *mut Id) -> Bool, Package High;
        - CLIENT_LOAD c"loadModel:options:qos:error:" (Id, Id, u32, *mut Id) -> Bool, Package High;
        - LOAD_NEW_INSTANCE c"loadModelNewInstance:options:modelInstParams:qos:error:" (Id, Id, Id, u32, *mut Id) -> Bool, Instances Medium;
        - CLIENT_UNLOAD c"unloadModel:options:qos:error:" (Id, Id, u32, *mut Id) -> Bool, Package High;
        - CLIENT_EVALUATE c"evaluateWithModel:options:request:qos:error:" (Id, Id, Id, u32, *mut Id) -> Bool, Package High;
        - EVALUATE_DIRECT c"doEvaluateDirectWithModel:options:request:qos:error:" (Id, Id, Id, u32, *mut Id) -> Bool, Direct High;
        - CLIENT_MAP_IO_SURFACES c"mapIOSurfacesWithModel:request:cacheInference:error:" (Id, Id, Bool, *mut Id) -> Bool, Mapping High;
        - CLIENT_UNMAP_IO_SURFACES c"unmapIOSurfacesWithModel:request:" (Id, Id) -> (), Mapping High;
        - EVALUATE_REAL_TIME c"evaluateRealTimeWithModel:options:request:error:" (Id, Id, Id, *mut Id) -> Bool, RealTime Medium;
        - BEGIN_REAL_TIME_TASK c"beginRealTimeTask" () -> Bool, RealTime High;
        - END_REAL_TIME_TASK c"endRealTimeTask" () -> Bool, RealTime High;
        - COMPILED_MODEL_EXISTS_FOR c"compiledModelExistsFor:" (Id) -> Bool, Cache Medium;
        - COMPILED_MODEL_EXISTS_MATCHING_HASH c"compiledModelExistsMatchingHash:" (Id) -> Bool, Cache Medium;
        - PURGE_COMPILED_MODEL_OF c"purgeCompiledModel:" (Id) -> (), Cache Medium;
        - PURGE_COMPILED_MODEL_MATCHING_HASH c"purgeCompiledModelMatchingHash:" (Id) -> (), Cache Medium;
        - ECHO c"echo:" (Id) -> Bool, Diagnostics Medium;
        - IS_VIRTUAL_CLIENT c"isVirtualClient" () -> Bool, Diagnostics Medium;
        - SESSION_HINT c"sessionHintWithModel:hint:options:report:error:" (Id, Id, Id, Id, *mut Id) -> Bool, SessionHints Medium;
        - PREPARE_CHAINING c"prepareChainingWithModel:options:chainingReq:qos:error:" (Id, Id, Id, u32, *mut Id) -> Bool, Chaining High;
        - BUFFERS_READY c"buffersReadyWithModel:inputBuffers:options:qos:error:" (Id, Id, Id, u32, *mut Id) -> Bool, Chaining Medium;
        - ENQUEUE_SETS c"enqueueSetsWithModel:outputSet:options:qos:error:" (Id, Id, Id, u32, *mut Id) -> Bool, Chaining Medium;
    }
    REQUEST c"_ANERequest" {
        + REQUEST_WITH c"requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:" (Id, Id, Id, Id, Id, Id, Id) -> Id, Core High;
        + REQUEST_WITH_EVENTS c"requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:sharedEvents:transactionHandle:" (Id, Id, Id, Id, Id, Id, Id, Id, Id) -> Id, NewerRequests Medium;
        - VALIDATE c"validate" () -> Bool, Core Medium;
        - SET_COMPLETION_HANDLER c"setCompletionHandler:" (BlockRef) -> (), Completion Medium;
        - SET_REQUEST_SHARED_EVENTS c"setSharedEvents:" (Id) -> (), SharedEvents Medium;
        - REQUEST_PERF_STATS_ARRAY c"perfStatsArray" () -> Id, PerformanceStats Medium;
        - REQUEST_PERF_STATS c"perfStats" () -> Id, PerformanceStats Medium;
    }
    IO_SURFACE_OBJECT c"_ANEIOSurfaceObject" {
        + OBJECT_WITH_IO_SURFACE c"objectWithIOSurface:" (SurfaceRef) -> Id, Core High;
        + OBJECT_WITH_IO_SURFACE_AT c"objectWithIOSurface:startOffset:" (SurfaceRef, Id) -> Id, Parts Medium;
    }
    PROGRAM_FOR_EVALUATION c"_ANEProgramForEvaluation" {
        + PROGRAM_WITH_HANDLE c"programWithHandle:intermediateBufferHandle:queueDepth:" (u64, u64, i8) -> Id, ProgramParts Medium;
        - PROCESS_REQUEST c"processRequest:model:qos:qIndex:modelStringID:options:returnValue:error:" (Id, Id, u32, u64, u64, Id, *mut u32, *mut Id) -> Bool, ProcessRequest Medium;
        - ASYNC_REQUESTS_IN_FLIGHT c"currentAsyncRequestsInFlight" () -> i64, Diagnostics Medium;
        - PROGRAM_QUEUE_DEPTH c"queueDepth" () -> i8, Diagnostics Medium;
    }
    DEVICE_CONTROLLER c"_ANEDeviceController" {
        + CONTROLLER_WITH_PROGRAM_HANDLE c"controllerWithProgramHandle:" (u64) -> Id, ProgramParts Medium;
        - CONTROLLER_PROGRAM_HANDLE c"programHandle" () -> u64, ProgramParts Medium;
    }
    PROGRAM_IO_SURFACES_MAPPER c"_ANEProgramIOSurfacesMapper" {
        + MAPPER_WITH_CONTROLLER c"mapperWithController:" (Id) -> Id, ProgramParts Medium;
        + MAPPER_WITH_PROGRAM_HANDLE c"mapperWithProgramHandle:" (u64) -> Id, ProgramParts Medium;
        - MAPPER_VALIDATE c"validateRequest:model:" (Id, Id) -> Bool, ProgramParts Medium;
        - MAPPER_MAP c"mapIOSurfacesWithModel:request:cacheInference:error:" (Id, Id, Bool, *mut Id) -> Bool, ProgramParts Medium;
        - MAPPER_UNMAP c"unmapIOSurfacesWithModel:request:error:" (Id, Id, *mut Id) -> Bool, ProgramParts Medium;
    }
    WEIGHT c"_ANEWeight" {
        + WEIGHT_WITH c"weightWithSymbolAndURL:weightURL:" (Id, Id) -> Id, Instances Medium;
    }
    PROCEDURE_DATA c"_ANEProcedureData" {
        + PROCEDURE_DATA_WITH c"procedureDataWithSymbol:weightArray:" (Id, Id) -> Id, Instances Medium;
    }
    MODEL_INSTANCE_PARAMETERS c"_ANEModelInstanceParameters" {
        + INSTANCE_PARAMETERS_WITH c"withProcedureData:procedureArray:" (Id, Id) -> Id, Instances Medium;
    }
    QOS_MAPPER c"_ANEQoSMapper" {
        + QUEUE_INDEX_FOR_QOS c"queueIndexForQoS:" (u32) -> u64, ProcessRequest Medium;
    }
    DEVICE_INFO c"_ANEDeviceInfo" {
        + HAS_ANE c"hasANE" () -> Bool, DeviceInfo High;
        + NUM_ANES c"numANEs" () -> u32, DeviceInfo High;
        + NUM_ANE_CORES c"numANECores" () -> u32, DeviceInfo High;
        + ANE_ARCHITECTURE_TYPE c"aneArchitectureType" () -> Id, DeviceInfo High;
        + ANE_SUB_TYPE c"aneSubType" () -> Id, DeviceInfo Medium;
        + ANE_BOARD_TYPE c"aneBoardType" () -> i64, DeviceInfo Medium;
        + PRODUCT_NAME c"productName" () -> Id, DeviceInfo Medium;
        + BUILD_VERSION c"buildVersion" () -> Id, DeviceInfo Medium;
        + IS_VIRTUAL_MACHINE c"isVirtualMachine" () -> Bool, DeviceInfo Medium;
        + IS_INTERNAL_BUILD c"isInternalBuild" () -> Bool, DeviceInfo Medium;
    }
    STRINGS c"_ANEStrings" {
        + MODEL_CACHE_DIRECTORY c"buildSpecificModelDataVaultDirectory" () -> Id, DeviceInfo Medium;
    }
    VIRTUAL_CLIENT c"_ANEVirtualClient" {
        + VIRTUAL_CONNECTION c"sharedConnection" () -> Id, VirtualClient High;
        - HOST_HAS_ANE c"hasANE" () -> Bool, VirtualClient Medium;
        - HOST_NUM_ANES c"numANEs" () -> u32, VirtualClient Medium;
        - HOST_NUM_ANE_CORES c"numANECores" () -> u32, VirtualClient Medium;
        - HOST_ARCHITECTURE c"aneArchitectureTypeStr" () -> Id, VirtualClient Medium;
        - HOST_BOARD_TYPE c"aneBoardtype" () -> i64, VirtualClient Medium;
        - HOST_BUILD c"hostBuildVersionStr" () -> Id, VirtualClient Medium;
        - HOST_CAPABILITY_MASK c"negotiatedCapabilityMask" () -> u64, VirtualClient Medium;
        - HOST_DATA_INTERFACE_VERSION c"negotiatedDataInterfaceVersion" () -> u32, VirtualClient Medium;
        - HOST_TAKES_PRECOMPILED c"validateEnvironmentForPrecompiledBinarySupport" () -> Bool, VirtualClient Medium;
    }
    PERFORMANCE_STATS c"_ANEPerformanceStats" {
        + STATS_WITH_NANOSECONDS c"statsWithHardwareExecutionNS:" (u64) -> Id, PerformanceStats High;
        - PERFORMANCE_COUNTERS c"performanceCounters" () -> Id, PerformanceStats Medium;
        + DRIVER_MASK_FOR_ANEF_MASK c"driverMaskForANEFMask:" (u32) -> u32, PerformanceStats Medium;
        - HW_EXECUTION_TIME c"hwExecutionTime" () -> u64, PerformanceStats High;
        - PERF_COUNTER_DATA c"perfCounterData" () -> Id, PerformanceStats Medium;
        - STRING_FOR_PERF_COUNTER c"stringForPerfCounter:" (i32) -> Id, PerformanceStats Medium;
    }
    PERFORMANCE_STATS_IO_SURFACE c"_ANEPerformanceStatsIOSurface" {
        + STATS_WITH_IO_SURFACE c"objectWithIOSurface:statType:" (Id, i64) -> Id, PerformanceStats Medium;
    }
    SHARED_EVENT c"IOSurfaceSharedEvent" {
        + NEW_SHARED_EVENT c"new" () -> Id, SharedEvents Medium;
        + ALLOC_SHARED_EVENT c"alloc" () -> Id, SharedEvents Documented;
        - INIT_WITH_MACH_PORT c"initWithMachPort:" (u32) -> Id, SharedEvents Medium;
        - EVENT_PORT c"eventPort" () -> u32, SharedEvents Medium;
        - SIGNALED_VALUE c"signaledValue" () -> u64, SharedEvents Medium;
        - SET_SIGNALED_VALUE c"setSignaledValue:" (u64) -> (), SharedEvents Medium;
        - WAIT_UNTIL_SIGNALED_VALUE c"waitUntilSignaledValue:timeoutMS:" (u64, u64) -> Bool, SharedEvents Medium;
    }
    SHARED_SIGNAL_EVENT c"_ANESharedSignalEvent" {
        + SIGNAL_EVENT_WITH c"signalEventWithValue:symbolIndex:eventType:sharedEvent:" (u64, u32, i64, Id) -> Id, SharedEvents High;
        - SET_SIGNAL_EVENT_VALUE c"setValue:" (u64) -> (), SharedEvents Medium;
    }
    SHARED_WAIT_EVENT c"_ANESharedWaitEvent" {
        + WAIT_EVENT_WITH c"waitEventWithValue:sharedEvent:eventType:" (u64, Id, u64) -> Id, SharedEvents High;
        - SET_WAIT_EVENT_VALUE c"setValue:" (u64) -> (), SharedEvents Medium;
    }
    SHARED_EVENTS c"_ANESharedEvents" {
        + SHARED_EVENTS_WITH c"sharedEventsWithSignalEvents:waitEvents:" (Id, Id) -> Id, SharedEvents High;
    }
    BUFFER c"_ANEBuffer" {
        + BUFFER_WITH c"bufferWithIOSurfaceObject:symbolIndex:source:" (Id, Id, i64) -> Id, Chaining Medium;
    }
    OUTPUT_SETS c"_ANEIOSurfaceOutputSets" {
        + OUTPUT_SETS_WITH c"objectWithstatsSurRef:outputBuffer:" (SurfaceRef, Id) -> Id, Chaining Medium;
    }
    CHAINING_REQUEST c"_ANEChainingRequest" {
        + CHAINING_REQUEST_WITH c"chainingRequestWithInputs:outputSets:lbInputSymbolId:lbOutputSymbolId:procedureIndex:signalEvents:transactionHandle:fwEnqueueDelay:memoryPoolId:" (Id, Id, Id, Id, Id, Id, Id, Id, Id) -> Id, Chaining High;
        - CHAINING_VALIDATE c"validate" () -> Bool, Chaining Medium;
    }
    INPUT_BUFFERS_READY c"_ANEInputBuffersReady" {
        + INPUT_BUFFERS_WITH c"inputBuffersWithProcedureIndex:inputBufferInfoIndex:inputFreeValue:executionDelay:" (u32, Id, Id, u64) -> Id, Chaining Medium;
    }
    OUTPUT_SET_ENQUEUE c"_ANEOutputSetEnqueue" {
        + OUTPUT_SET_WITH c"outputSetWithProcedureIndex:setIndex:signalValue:signalNotRequired:isOpenLoop:" (u32, u32, u64, Bool, Bool) -> Id, Chaining Medium;
    }
}
