// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Escrow} from "../../contracts/Escrow.sol";
import {Base} from "./Base.sol";

/// @dev Who may do what, in which status, on which side of the deadline: every cell.
contract MatrixTest is Base {
    enum Action {
        Accept,
        Revoke,
        Cancel,
        Dispatch,
        Release,
        Refund,
        Extend,
        Dispute,
        Rule,
        Settle,
        Timeout
    }

    uint256 private constant BUYER = 1;
    uint256 private constant SELLER = 2;
    uint256 private constant ARBITER = 4;
    uint256 private constant STRANGER = 8;
    uint256 private constant ANYONE = 15;

    /// One digit a status, None to Defaulted: the callers allowed, as the sum of the numbers above in hex.
    function callersOf(Action action) private pure returns (string memory) {
        if (action == Action.Accept) return "02000000000";
        if (action == Action.Revoke) return "30000000000";
        if (action == Action.Cancel) return "01000000000";
        if (action == Action.Dispatch) return "00200000000";
        // Nothing of the price is left to release in Holding, and the order has no seller's deposit.
        if (action == Action.Release) return "01110100000";
        if (action == Action.Refund) return "02222200000";
        if (action == Action.Extend) return "01121000000";
        if (action == Action.Dispute) return "00033000000";
        if (action == Action.Rule) return "00000400000";
        // The seller's signature comes with the call.
        if (action == Action.Settle) return "01111100000";
        return "0fffff00000";
    }

    /// Whether the action is bound to the time before the deadline (1), after it (2), or not at all (3).
    function timesOf(Action action) private pure returns (uint256) {
        if (action == Action.Timeout) return 2;
        bool isTimely = action == Action.Accept || action == Action.Dispatch || action == Action.Extend
            || action == Action.Dispute || action == Action.Rule;
        return isTimely ? 1 : 3;
    }

    function test_every_cell() public {
        uint256 allowed;
        for (uint256 status = 0; status <= uint256(Escrow.Status.Defaulted); status++) {
            for (uint256 action = 0; action <= uint256(Action.Timeout); action++) {
                for (uint256 side = 1; side <= 2; side++) {
                    allowed += checkCells(Escrow.Status(status), Action(action), side);
                }
            }
        }
        // From the table above, callers times sides: 1 + 4 + 2 + 1 + 8 + 10 + 4 + 4 + 1 + 10 + 20.
        same(allowed, 65, "allowed cells");
    }

    function checkCells(Escrow.Status status, Action action, uint256 side) private returns (uint256 allowed) {
        uint256 mask = digitAt(callersOf(action), uint256(status));
        bool inTime = status == Escrow.Status.None || timesOf(action) & side != 0;
        for (uint256 caller = 1; caller <= STRANGER; caller *= 2) {
            bool expected = inTime && mask & caller != 0;
            uint256 snapshot = vm.snapshotState();
            (bool ok, bytes memory failure) = attempt(status, action, side, caller);
            vm.revertToState(snapshot);
            require(ok == expected, cell(status, action, side, caller));
            if (ok) allowed++;
            else if (mask == 0) requireBadStatus(status, action, failure);
        }
    }

    /// A status where nobody may act is named as the reason, except where there is nothing left to give.
    function requireBadStatus(Escrow.Status status, Action action, bytes memory failure) private pure {
        if (action == Action.Release && status == Escrow.Status.Holding) return;
        bytes32 expected = keccak256(abi.encodeWithSelector(Escrow.BadStatus.selector, status));
        require(keccak256(failure) == expected, "not BadStatus");
    }

    function attempt(Escrow.Status status, Action action, uint256 side, uint256 caller)
        private
        returns (bool ok, bytes memory result)
    {
        Escrow.Order memory o = makeOrder(address(0));
        o.sellerDeposit = 0;
        reach(o, status);
        uint256 deadline = stateOf(o).deadline;
        if (deadline != 0) vm.warp(side == 1 ? deadline : deadline + 1);
        address account = accountOf(caller);
        bytes memory call =
            action == Action.Dispute ? abi.encodeCall(Escrow.dispute, (o, account, "")) : encode(o, action);
        vm.prank(account);
        return address(escrow).call(call);
    }

    function encode(Escrow.Order memory o, Action action) private view returns (bytes memory) {
        if (action == Action.Accept) return abi.encodeCall(Escrow.accept, (o, ""));
        if (action == Action.Revoke) return abi.encodeCall(Escrow.revoke, (o));
        if (action == Action.Cancel) return abi.encodeCall(Escrow.cancel, (o, ""));
        if (action == Action.Dispatch) return abi.encodeCall(Escrow.dispatch, (o, ""));
        if (action == Action.Release) return abi.encodeCall(Escrow.release, (o, AMOUNT, ""));
        if (action == Action.Refund) return abi.encodeCall(Escrow.refund, (o, AMOUNT, ""));
        if (action == Action.Extend) {
            return abi.encodeCall(Escrow.extend, (o, uint40(block.timestamp + 30 days), ""));
        }
        if (action == Action.Rule) return abi.encodeCall(Escrow.rule, (o, AMOUNT / 2, ""));
        if (action == Action.Settle) return encodeSettle(o);
        return abi.encodeCall(Escrow.timeout, (o));
    }

    function encodeSettle(Escrow.Order memory o) private view returns (bytes memory) {
        return abi.encodeCall(Escrow.settle, (o, 5, "", sign(SELLER_KEY, settleHash(o, 5))));
    }

    function accountOf(uint256 caller) private view returns (address) {
        if (caller == BUYER) return buyer;
        if (caller == SELLER) return seller;
        return caller == ARBITER ? arbiter : stranger;
    }

    function digitAt(string memory digits, uint256 index) private pure returns (uint256) {
        uint8 c = uint8(bytes(digits)[index]);
        return c < 58 ? c - 48 : c - 87;
    }

    function cell(Escrow.Status status, Action action, uint256 side, uint256 caller)
        private
        pure
        returns (string memory)
    {
        return string.concat(
            "status ",
            vm.toString(uint256(status)),
            " action ",
            vm.toString(uint256(action)),
            " side ",
            vm.toString(side),
            " caller ",
            vm.toString(caller)
        );
    }
}
